"""`robench leaderboard --check`: sound records pass, altered ones fail where they were altered."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from robench.base import progress
from robench.base.hashing import file_hash
from robench.cli.main import main
from robench.core.record import Record
from robench.leaderboard import check as checks
from robench.leaderboard.check import check
from robench.leaderboard.read import intake
from robench.leaderboard.read.intake import check_form
from robench.records import store as results
from robench.records.trust import Step
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


def test_form_and_numbers_pass(one: Path, places: Places) -> None:
    found = outcomes(one, places)
    assert [found[name][0] for name in ("form", "consistent")] == ["pass"] * 2
    # The network was handed over in Python, so nobody else can rebuild it.
    assert {found[name][0] for name in found if name not in ("form",)} != {"pass"}
    assert "fail" not in {outcome for outcome, _ in found.values()}


def test_progress_names_the_record_that_is_checked(
    one: Path, places: Places, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    # A sweep's job that another test ran in this process is quiet for good.
    monkeypatch.setattr(progress, "_QUIET", [])

    def steps(*_: object) -> Iterator[Step]:
        with progress.progress("pgd (white_box)", 4) as advance:
            advance(2)
        yield Step(name="form", outcome="pass")

    monkeypatch.setattr(checks, "_steps", steps)
    assert list(check([one.parent], places))
    assert capsys.readouterr().err.startswith("one, 1 of 1: pgd (white_box): 50%")
    steps()
    with progress.progress("pgd", 4) as advance:
        advance(1)
    assert capsys.readouterr().err.startswith("pgd: 25%"), "the name is gone with the record"


def test_the_form_is_looked_at_once(
    one: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Path] = []

    def look(folder: Path) -> Record:
        looked.append(folder)
        return check_form(folder)

    for module in (checks, intake):
        monkeypatch.setattr(module, "check_form", look)
    assert outcomes(one, places)["form"][0] == "pass"
    assert looked == [one]


def test_another_configuration_fails_by_its_id(one: Path, places: Places) -> None:
    alter(one, ["config", "seed"], 77)
    found = outcomes(one, places)
    assert found["form"][0] == "pass"
    assert found["consistent"][0] == "fail"
    assert "expected id" in found["consistent"][1]
    assert len(found) == 2


def test_a_better_number_fails(one: Path, places: Places) -> None:
    record = results.read(one)
    place = next(i for i, v in enumerate(record.values) if v.metric == "robust_accuracy")
    for name in ("value", "high"):
        alter(one, ["values", place, name], 1.0)
    outcome, text = outcomes(one, places)["consistent"]
    assert outcome == "fail"
    assert "by the outcomes table" in text


def test_the_command_fails_when_a_check_does(one: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["leaderboard", str(one.parent), "--check", "--sample", "0"]
    assert main(arguments) == 0
    assert "one: verified not done not in the sample" in capsys.readouterr().out
    alter(one, ["config", "seed"], 77)
    assert main(arguments) == 1
    assert "consistent fail" in capsys.readouterr().out


def test_a_record_without_a_model_is_not_verified(one: Path, places: Places) -> None:
    """Nothing is trained again: what could not be judged is not done."""
    for name in (results.PROGRAM, results.WEIGHTS):
        (one / name).unlink(missing_ok=True)
    alter(one, ["files"], {})
    assert outcomes(one, places)["verified"] == ("not done", "the record holds no deployed model")


def test_a_sample_is_the_same_whatever_its_folders_are_called(
    records: Path, tmp_path: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[str] = []

    def verified(folder: Path, places: Places) -> Iterator[Step]:
        judged.append(results.read(folder).id)
        yield Step(name="model", outcome="pass")

    monkeypatch.setattr("robench.leaderboard.check._verified", verified)
    for turn, reverse in enumerate((False, True)):
        root = tmp_path / str(turn)
        for number, folder in enumerate(sorted(results.folders(records), reverse=reverse)):
            shutil.copytree(folder, root / f"{number}")
        assert sum(r.check == "model" for r in check([root], places, sample=2)) == 2
    assert len(judged) == 4
    assert set(judged[:2]) == set(judged[2:])


def test_a_verification_that_fails_to_run_fails_by_name(
    one: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(folder: Path, places: Places) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr("robench.replay.verify.verify", broken)
    assert outcomes(one, places)["verified"] == ("fail", "RuntimeError: out of memory")


@pytest.mark.slow
def test_examples_are_judged_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROBENCH_RESULTS", str(tmp_path / "results"))
    assert main(["run", "attack=[fgsm,pgd]", "train.epochs=3", "images=60", "threads=1"]) == 0
    (folder,) = results.folders(tmp_path / "results")
    places = Places.from_environment()
    found = outcomes(folder, places)
    assert {found[name][0] for name in ("form", "consistent", "model", "examples")} == {"pass"}
    assert "fail" not in {outcome for outcome, _ in found.values()}
    with np.load(folder / results.EXAMPLES) as arrays:
        changed = {name: np.zeros_like(values) for name, values in arrays.items()}
    np.savez_compressed(folder / results.EXAMPLES, **changed)
    assert outcomes(folder, places)["consistent"][0] == "fail"
    alter(folder, ["files", results.EXAMPLES], file_hash(folder / results.EXAMPLES))
    assert outcomes(folder, places)["examples"][0] == "fail"
