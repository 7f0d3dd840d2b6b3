"""The page's scripts write numbers and statistics as Python does, of Python's own constants."""

from __future__ import annotations

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
from robench.leaderboard.write.tabledata import FIELDS, TABLE

NODE = shutil.which("node")
COUNTS = [(0, 7), (3, 7), (7, 7), (150, 300), (299, 300)]
TABLES = [(40, 3, 12, 45), (0, 0, 5, 5), (10, 0, 0, 0), (297, 3, 0, 0), (150, 75, 20, 55)]
NUMBERS = [
    (value, unit)
    for value in (None, 0.0, 0.00012345, 0.123, 0.98765, 1.0, 12.3456, 1234.5678, 9876543.0)
    for unit in ("share", "bytes", "s", "img/s", "")
]
SCRIPT = """
const [, , data, format, stats, given] = process.argv;
const fs = require("fs");
globalThis.window = globalThis;
for (const file of [data, format, stats]) (0, eval)(fs.readFileSync(file, "utf8"));
const { counts, tables, numbers } = JSON.parse(given);
console.log(JSON.stringify({
  wilson: counts.map((one) => robench.wilson(...one)),
  mcnemar: tables.map(([, b, c]) => robench.mcnemar(b, c)),
  newcombe: tables.map((one) => robench.newcombe(...one)),
  numbers: numbers.map((one) => robench.number(...one)),
  at: robench.at,
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
    given = json.dumps({"counts": COUNTS, "tables": TABLES, "numbers": NUMBERS})
    files = [page / TABLE, assets / "format.js", assets / "stats.js"]
    command = [NODE, str(script), *map(str, files), given]
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


def test_fields_stand_where_python_puts_them(answers: Any, page: Path) -> None:
    assert answers["at"] == {name: place for place, name in enumerate(FIELDS)}
    text = (page / TABLE).read_text(encoding="utf-8").partition("robench.table = ")[2]
    table = json.loads(text.rstrip().rstrip(";"))
    assert table["words"] == {name: list(words) for name, words in WORDS.items()}
    assert table["levels"] == {name: list(words) for name, words in LEVEL_MARKS.items()}
    assert table["scale"] == SCALE
    assert {len(row) for row in table["rows"]} == {len(FIELDS)}
