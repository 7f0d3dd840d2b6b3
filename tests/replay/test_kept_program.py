"""Records keep their integer program: from a fresh clone nothing of it is trained again."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import robench
from robench.base.hashing import file_hash
from robench.cli.main import main
from robench.core.record import Record
from robench.integer import Program, load_program, save_program
from robench.records.store import PROGRAM, RECORD, WEIGHTS, read
from robench.replay.audit import audit_record
from robench.replay.rebuild import rebuild
from robench.replay.verify import Verification, verify
from robench.run.config import Places
from robench.training.loop import Trainer
from robench.training.recipe import TrainConfig


def evaluated(places: Places, compressor: str, **options: object) -> Record:
    return robench.evaluate(
        "small_cnn",
        "digits",
        attack="fgsm",
        compressor=compressor,
        metric=["accuracy", "size"],
        images=100,
        train=TrainConfig(epochs=2),
        audit="off",
        places=places,
        **options,
    )


QAT = pytest.param("qat_int8", marks=pytest.mark.slow)


@pytest.fixture(scope="module", params=[QAT, "ptq_int8"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an int8 record."""
    root = tmp_path_factory.mktemp("made")
    places = Places(results=root / "results", cache=root / "cache", threads=1)
    return root / "results" / evaluated(places, request.param).id


@pytest.fixture
def clone(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The record elsewhere, with an empty cache, on a machine where nothing may be trained."""

    def refuse(*_: object) -> None:
        raise AssertionError("a network is trained")

    monkeypatch.setattr(Trainer, "fit", refuse)
    return Path(shutil.copytree(made, tmp_path / "results" / made.name))


def test_a_kept_program_verifies(clone: Path, places: Places) -> None:
    assert (clone / PROGRAM).stat().st_size < 300_000
    assert verify(clone, places, seed=0).level == "verified"


def test_a_program_that_answers_otherwise_does_not_verify(clone: Path, places: Places) -> None:
    program = load_program(clone / PROGRAM)
    last = program.ops[-1]
    flipped = replace(last, weight=last.weight[::-1].copy())
    save_program(Program((*program.ops[:-1], flipped)), clone / PROGRAM)
    relist(clone, PROGRAM)
    assert "labels are not the model's" in failure(verify(clone, places))


def test_a_damaged_program_is_one_line(clone: Path, places: Places) -> None:
    (clone / PROGRAM).write_bytes(b"RBIP" + bytes(60))
    relist(clone, PROGRAM)
    assert "integer program" in failure(verify(clone, places))


def failure(verification: Verification) -> str:
    """The sentence of the step that failed, when it is the only one."""
    (step,) = (step for step in verification.steps if step.outcome == "fail")
    assert "\n" not in step.text
    return step.text


def relist(folder: Path, name: str) -> None:
    """Make the record's digest of a file hold again."""
    files = read(folder).files | {name: file_hash(folder / name)}
    record = read(folder).model_copy(update={"files": files})
    (folder / RECORD).write_text(record.model_dump_json())


def test_a_kept_program_is_exported(clone: Path, tmp_path: Path) -> None:
    assert main(["export", str(clone), "--out", str(tmp_path / "ship")]) == 0
    assert "robench_run" in (tmp_path / "ship" / f"{clone.name}.c").read_text()


def test_a_kept_program_is_audited(
    clone: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The full audit trains its own surrogate, nothing else; the twin is made from the program."""
    monkeypatch.undo()
    before = read(clone)
    record, folder = audit_record(clone, places)
    assert "kept with a record" in record.notes["stored"]
    assert record.agreement.equal_labels == 1.0
    assert (folder / PROGRAM).read_bytes() == (clone / PROGRAM).read_bytes()
    for value in before.values:
        again = record.find(value.metric, **value.axes)
        assert again is not None
        if value.unit == "share":
            assert again.value == pytest.approx(value.value, abs=0.15)
    assert [audit.level for audit in record.audit] == ["full"]
    trained = list(places.cache.glob("train/*/*/model.safetensors"))
    assert len(trained) == 1


@pytest.mark.slow
def test_kept_weights_are_audited_without_training(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a fresh clone: the audit's own surrogate is the only network that is trained."""
    record = evaluated(places, "ptq")
    folder = places.results / record.id
    assert not (folder / PROGRAM).exists()
    assert record.files[WEIGHTS] == file_hash(folder / WEIGHTS)
    shutil.rmtree(places.cache)
    again, _ = audit_record(folder, places)
    assert "weights that were kept" in again.notes["stored"]
    for value in record.values:
        if value.unit == "share":
            found = again.find(value.metric, **value.axes)
            assert found is not None
            assert found.value == value.value
    trained = list(places.cache.glob("train/*/*/model.safetensors"))
    assert len(trained) == 1


def test_a_record_without_a_model_is_trained_again_to_be_exported_and_never_to_be_verified(
    places: Places, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = places.results / evaluated(places, "qat_int8").id
    (folder / PROGRAM).unlink()
    older = read(folder).model_copy(update={"files": {}})
    (folder / RECORD).write_text(older.model_dump_json())
    shutil.rmtree(places.cache / "train")
    assert rebuild(folder, places).kept is None
    assert "training it again" in capsys.readouterr().err
    monkeypatch.setattr(Trainer, "fit", None)
    verification = verify(folder, places)
    steps = {step.name: step for step in verification.steps}
    assert steps["model"].outcome == "not done"
    assert "keeps no model" in steps["model"].text
