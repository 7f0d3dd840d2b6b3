"""The page's scripts write numbers and statistics as Python does, of Python's own constants."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robench.base.paths import shipped
from robench.base.stats import mcnemar, paired, wilson
from robench.core.record import SYSTEM_KINDS
from robench.leaderboard.table.entries import Entry, proves
from robench.leaderboard.table.formats import LEVEL_MARKS, SCALE, WORDS, number, points
from robench.leaderboard.table.labels import SMALL_UNITS
from robench.leaderboard.table.rounding import rounded
from robench.leaderboard.table.row import BoardRow
from robench.leaderboard.table.site import Group, Site, make_site
from robench.leaderboard.write.tabledata import site_data, tab_data
from robench.records.words import CALLED
from tests.leaderboard.pages import data
from tests.leaderboard.shelf import shelf

NODE = shutil.which("node")
COUNTS = [(0, 7), (3, 7), (7, 7), (150, 300), (299, 300)]
TABLES = [(40, 3, 12, 45), (0, 0, 5, 5), (10, 0, 0, 0), (297, 3, 0, 0), (150, 75, 20, 55)]
NUMBERS = [
    (value, unit)
    for value in (
        None,
        0.0,
        0.00012345,
        0.123,
        0.98765,
        1.0,
        12.3456,
        1234.5678,
        9876543.0,
        -0.0,
        -0.00012345,
        -0.123,
    )
    for unit in ("share", "bytes", "s", "img/s", "")
]
CELLS = [["metric", "of", "value"], ["a, b", 'say "x"', 0.5], ["two\nlines", None, 12]]
SCRIPT = """
const [, , given, ...files] = process.argv;
const fs = require("fs");
globalThis.window = globalThis;
for (const file of files) (0, eval)(fs.readFileSync(file, "utf8"));
const { counts, tables, numbers, cells } = JSON.parse(given);
console.log(JSON.stringify({
  wilson: counts.map((one) => robench.wilson(...one)),
  mcnemar: tables.map(([, b, c]) => robench.mcnemar(b, c)),
  newcombe: tables.map((one) => robench.newcombe(...one)),
  numbers: numbers.map((one) => robench.number(...one)),
  points: counts.map(([hits, n]) => robench.points(0.5 - hits / n)),
  csv: robench.csv(cells),
  site: robench.data.site,
}));
"""


@pytest.fixture(scope="module")
def answers(page: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the scripts make of the same input, on the data of a built page."""
    if NODE is None:
        pytest.skip("node is not installed; it runs the page's scripts without a browser")
    script = tmp_path_factory.mktemp("node") / "answers.js"
    script.write_text(SCRIPT, encoding="utf-8")
    assets = shipped("leaderboard/template") / "assets"
    told = {"counts": COUNTS, "tables": TABLES, "numbers": NUMBERS, "cells": CELLS}
    files = [assets / "data.js", page / "data/site.js"]
    files += [assets / name for name in ("format.js", "stats.js", "csv.js")]
    command = [NODE, str(script), json.dumps(told), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_statistics_are_those_of_python(answers: Any) -> None:
    np.testing.assert_allclose(answers["wilson"], [wilson(*one) for one in COUNTS], atol=1e-12)
    wanted = [mcnemar(b, c) for _, b, c, _ in TABLES]
    np.testing.assert_allclose(answers["mcnemar"], wanted, atol=1e-12)
    for found, table in zip(answers["newcombe"], TABLES, strict=True):
        first = np.repeat([True, True, False, False], table)
        second = np.repeat([True, False, True, False], table)
        pair = paired(first, second)
        np.testing.assert_allclose(found, (pair.low, pair.high), atol=1e-12)


def test_numbers_are_written_as_python_writes_them(answers: Any) -> None:
    assert answers["numbers"] == [number(*one) for one in NUMBERS]
    assert answers["points"] == [points(0.5 - hits / n) for hits, n in COUNTS]
    assert answers["points"][3] == "0.0"
    assert [number(one, "share") for one in (-0.0004, -0.044)] == ["0.0", "\N{MINUS SIGN}4.4"]


def test_a_table_saved_as_csv_is_the_same_table(answers: Any) -> None:
    read = list(csv.reader(io.StringIO(answers["csv"])))
    assert read == [["" if one is None else str(one) for one in row] for row in CELLS]


def test_words_and_units_are_those_of_python(answers: Any, page: Path) -> None:
    site = answers["site"]
    assert site == data(page, "site")
    assert site["words"] == {name: list(words) for name, words in WORDS.items()}
    assert site["called"] == CALLED
    assert site["levels"] == {name: list(words) for name, words in LEVEL_MARKS.items()}
    assert (site["scale"], site["units"]) == (SCALE, SMALL_UNITS)


# -- which lines, in which order -------------------------------------------------------------------

LINES = """
const [, , given, ...files] = process.argv;
const fs = require("fs");
globalThis.window = globalThis;
for (const file of files) (0, eval)(fs.readFileSync(file, "utf8"));
const { rows, chosen } = robench;
const id = (at) => rows.id(at);
const { headline, loss } = chosen;
const told = (line) => [line.rows.map(id), line.under.map(id), headline(line), loss(line)];
const values = { headline, loss: (line) => loss(line)?.[0] ?? null };
(async () => {
  await rows.open([0]);
  const found = JSON.parse(given).map(([filters, search, order]) => {
    const lines = chosen.lines([0], filters, search);
    if (!order) return lines.map(told);
    return chosen.sorted(lines, values[order[0]], order[1]).map(told);
  });
  console.log(JSON.stringify(found));
})();
"""
ASKED: list[list[Any]] = [
    [[], "", None],
    [[["bits", "8-"]], "", None],
    [[["bits", "32"]], "", None],
    [[["level", "verified"]], "", None],
    [[["word", "holds"], ["defense", "mulaw"]], "", None],
    [[], "mulaw QAT", None],
    [[], '"adversarial_training" consistent', None],
    [[], "", ["headline", "asc"]],
    [[], "", ["loss", "desc"]],
    [[["bits", "8-"]], "", ["loss", "asc"]],
]


@pytest.mark.parametrize("seed", range(3))
def test_lines_are_chosen_folded_and_ordered_as_in_python(seed: int, tmp_path: Path) -> None:
    if NODE is None:
        pytest.skip("node is not installed; it runs the page's scripts without a browser")
    site = make_site(shelf(120, seed), [])
    for name, text in [site_data(site, 1), *tab_data(site, site.tabs[0])]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    script = tmp_path / "lines.js"
    script.write_text(LINES, encoding="utf-8")
    assets = shipped("leaderboard/template") / "assets"
    files = [assets / "data.js", tmp_path / "data/site.js", tmp_path / "data/shelf_linf@1-keys.js"]
    files += [assets / name for name in ("rows.js", "chosen.js")]
    command = [NODE, str(script), json.dumps(ASKED), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (group,) = site.tabs[0].groups
    for asked, found in zip(ASKED, json.loads(done.stdout), strict=True):
        wanted = _lines(site, group, *asked)
        assert [line[:2] for line in found] == [line[:2] for line in wanted], asked
        assert found == _near(wanted), asked


def _near(lines: list[Any]) -> list[Any]:
    def near(value: Any) -> Any:
        return value and [pytest.approx(one, abs=1e-5) for one in value]

    return [[*line[:2], pytest.approx(line[2], abs=1e-5), near(line[3])] for line in lines]


def _lines(site: Site, group: Group, filters: Any, search: str, order: Any) -> list[Any]:
    """What the table shows, made from the rows: entries of which all pass, others row by row;
    parents below what passes of theirs, where some of it proves as much."""
    passing = {row.id for row in group.rows if _passes(site, row, filters, search)}
    pieces = [
        piece
        for entry in group.entries
        for piece in (
            [entry]
            if all(row.id in passing for row in entry.rows)
            else [Entry((row,)) for row in entry.rows if row.id in passing]
        )
    ]
    every = {row.id: row for row in group.rows}
    folded = passing & {
        parent.id
        for name, parent in group.parents.items()
        if name in passing and proves(every[name], parent)
    }
    lines = []
    for piece in pieces:
        ids = [row.id for row in piece.rows]
        if not set(ids) <= folded:
            above = [group.parents[name].id for name in ids if name in group.parents]
            loss = group.loss(piece)
            ends = loss and [loss.difference, loss.low, loss.high]
            under = [name for name in dict.fromkeys(above) if name in folded]
            lines.append([ids, under, piece.headline.value, ends])
    if order is None:
        return lines
    key, sign = order[0], 1 if order[1] == "asc" else -1

    def place(line: Any) -> Any:
        value = line[2] if key == "headline" else line[3] and round(line[3][0], 9)
        return value is None, sign * round(value or 0.0, 9)

    return sorted(lines, key=place)


def _passes(site: Site, row: BoardRow, filters: Any, search: str) -> bool:
    known = {"bits": row.bits, "level": row.proof.level, "word": row.word}
    known |= {"defense": row.names("defense")}
    said = [row.names(kind) for kind in SYSTEM_KINDS]
    said += [site.labels[row.id].name, row.access, row.proof.level, row.word, row.mark]
    text = "  ".join(said).lower()
    terms = [phrase or word for phrase, word in re.findall(r'"([^"]+)"|(\S+)', search.lower())]
    chosen = all(
        row.bits <= 8 if wanted == "8-" else str(known[name]) == wanted for name, wanted in filters
    )
    return chosen and all(term in text for term in terms)


def test_rounding_twice_shows_no_other_number() -> None:
    rng = np.random.default_rng(0)
    shares = [*rng.random(20_000), 0.99449601, 0.98449951, 0.5, 0.0, 1.0]
    for unit, values in (("share", shares), ("s", 10 ** rng.uniform(-6, 6, 2000))):
        for value in map(float, values):
            assert number(rounded(value, unit), unit) == number(value, unit)
