"""`robench compare`: two records on the same images."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.cli.command import command, records


def test_two_records_paired(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in ("0", "1"):
        whole = ["train.epochs=1", "threads=1"]  # a subset of the images would depend on the seed
        assert command(["run", "attack=fgsm", f"seed={seed}", *whole], capsys)[0] == 0
    first, second = (str(path.parent) for path in records(tmp_path))
    status, out, _ = command(["compare", first, second], capsys)
    assert status == 0
    assert "McNemar" in out
    assert out.count("fgsm") >= 1
    assert "first: seed=" in out
    status, out, _ = command(["compare", first, first], capsys)
    assert status == 0
    assert "+0.0" in out
    assert "no difference can be told under linf 0.2" in out
    plain = json.loads(command(["compare", first, second, "--json"], capsys)[1])
    rows = {row["name"]: row for row in plain["rows"]}
    assert set(rows) == {"clean", "fgsm", "worst case", "headline"}
    assert rows["fgsm"]["first"] - rows["fgsm"]["second"] == pytest.approx(
        rows["fgsm"]["difference"]
    )
    table = command(["compare", first, second, "--csv"], capsys)[1].splitlines()
    assert table[0] == "row,norm,eps,first,second,difference,low,high,p"
    assert len(table) == 1 + len(rows)
    assert r"\begin{tabular}{lrrrrr}" in command(["compare", first, second, "--latex"], capsys)[1]


PUBLISHED = Path(__file__).parents[2] / "leaderboard/records/12a2c677ed80dc9b"


def test_training_that_differs_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = shutil.copytree(PUBLISHED, tmp_path / "other")
    record = json.loads((other / "record.json").read_text())
    record["config"]["seed"] = record["seed"] = record["seed"] + 1
    record["config"]["train"]["precision"] = None
    (other / "record.json").write_text(json.dumps(record))
    status, out, _ = command(["compare", str(PUBLISHED), str(other)], capsys)
    assert status == 0
    assert re.search(r"first: seed=\d+ train.precision=bf16", out)
    assert re.search(r"second: seed=\d+ train.precision=null", out)


def test_no_option_is_longer_than_a_line_or_looks_like_a_mark(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = shutil.copytree(PUBLISHED, tmp_path / "other")
    record = json.loads((other / "record.json").read_text())
    record["config"]["train"]["lr"] = "\N{BLACK DIAMOND}" * 900
    (other / "record.json").write_text(json.dumps(record))
    status, out, _ = command(["compare", str(PUBLISHED), str(other)], capsys)
    assert status == 0
    said = next(line for line in out.splitlines() if line.startswith("second: "))
    assert said.startswith("second: train.lr=\\u25c6\\u25c6")
    assert len(said) < 430
