"""`robench leaderboard --check`: sound records pass, altered ones fail where they were altered."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from robench.cli.main import main
from robench.leaderboard.check import check
from robench.records import store as results
from robench.run.config import Places


@pytest.fixture
def one(records: Path, tmp_path: Path) -> Path:
    source = next(f for f in results.folders(records) if len(results.read(f).rows) == 4)
    shutil.copytree(source, tmp_path / "records" / "one")
    return tmp_path / "records" / "one"


def outcomes(folder: Path, places: Places) -> dict[str, tuple[str, str]]:
    return {r.check: (r.outcome, r.text) for r in check([folder.parent], places)}


def alter(folder: Path, path: list[str | int], value: object) -> None:
    file = folder / results.RECORD
    record = json.loads(file.read_text())
    place = record
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    file.write_text(json.dumps(record))


def test_form_hash_and_numbers_pass(one: Path, places: Places) -> None:
    found = outcomes(one, places)
    assert [found[name][0] for name in ("form", "hash", "numbers")] == ["pass"] * 3
    # The data were handed over in Python, so nobody else can rebuild them.
    assert found["protocol"][0] == "not done"


def test_another_configuration_fails_the_hash(one: Path, places: Places) -> None:
    alter(one, ["config", "seed"], 77)
    found = outcomes(one, places)
    assert found["hash"][0] == "fail"
    assert "numbers" not in found


def test_a_better_number_fails(one: Path, places: Places) -> None:
    record = results.read(one)
    place = next(i for i, v in enumerate(record.values) if v.metric == "robust_accuracy")
    for name in ("value", "high"):
        alter(one, ["values", place, name], 1.0)
    outcome, text = outcomes(one, places)["numbers"]
    assert outcome == "fail"
    assert "by the outcomes table" in text


def test_the_command_fails_when_a_check_does(one: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["leaderboard", str(one.parent), "--check"]) == 0
    alter(one, ["config", "seed"], 77)
    assert main(["leaderboard", str(one.parent), "--check"]) == 1
    assert "hash fail" in capsys.readouterr().out


@pytest.mark.slow
def test_examples_are_judged_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROBENCH_RESULTS", str(tmp_path / "results"))
    assert main(["run", "attack=[fgsm,pgd]", "train.epochs=3", "images=60", "threads=1"]) == 0
    (folder,) = results.folders(tmp_path / "results")
    places = Places.from_environment()
    assert {r[0] for r in outcomes(folder, places).values()} == {"pass"}
    with np.load(folder / results.EXAMPLES) as arrays:
        changed = {name: np.zeros_like(values) for name, values in arrays.items()}
    np.savez_compressed(folder / results.EXAMPLES, **changed)
    assert outcomes(folder, places)["examples"][0] == "fail"
