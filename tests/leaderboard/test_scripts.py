"""The page's scripts write numbers and statistics as Python does, of Python's own constants."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robench.base.paths import shipped
from robench.base.stats import mcnemar, paired, wilson
from robench.leaderboard.table.formats import LEVEL_MARKS, SCALE, WORDS, number
from robench.leaderboard.table.labels import SMALL_UNITS
from robench.leaderboard.table.rounding import rounded
from tests.leaderboard.pages import data

NODE = shutil.which("node")
COUNTS = [(0, 7), (3, 7), (7, 7), (150, 300), (299, 300)]
TABLES = [(40, 3, 12, 45), (0, 0, 5, 5), (10, 0, 0, 0), (297, 3, 0, 0), (150, 75, 20, 55)]
NUMBERS = [
    (value, unit)
    for value in (None, 0.0, 0.00012345, 0.123, 0.98765, 1.0, 12.3456, 1234.5678, 9876543.0)
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


def test_a_table_saved_as_csv_is_the_same_table(answers: Any) -> None:
    read = list(csv.reader(io.StringIO(answers["csv"])))
    assert read == [["" if one is None else str(one) for one in row] for row in CELLS]


def test_words_and_units_are_those_of_python(answers: Any, page: Path) -> None:
    site = answers["site"]
    assert site == data(page, "site")
    assert site["words"] == {name: list(words) for name, words in WORDS.items()}
    assert site["levels"] == {name: list(words) for name, words in LEVEL_MARKS.items()}
    assert (site["scale"], site["units"]) == (SCALE, SMALL_UNITS)


def test_rounding_twice_shows_no_other_number() -> None:
    rng = np.random.default_rng(0)
    shares = [*rng.random(20_000), 0.99449601, 0.98449951, 0.5, 0.0, 1.0]
    for unit, values in (("share", shares), ("s", 10 ** rng.uniform(-6, 6, 2000))):
        for value in map(float, values):
            assert number(rounded(value, unit), unit) == number(value, unit)
