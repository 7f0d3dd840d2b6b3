"""Records keep their integer program: from a fresh clone nothing of it is trained again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import robench
from robench.base.errors import UserError
from robench.cli.main import main
from robench.core.record import Record
from robench.integer import Program, engine, load_program, save_program
from robench.records.store import PROGRAM, read
from robench.replay.audit import audit_record
from robench.replay.verify import verify
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
        images=40,
        train=TrainConfig(epochs=2),
        audit="off",
        places=places,
        **options,
    )


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    """Compile in a second instead of four."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "FLAGS", ("-O1", *engine.FLAGS[1:]))
        yield


@pytest.fixture(scope="module", params=["qat_int8", "ptq_int8"])
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
    checks = verify(clone, places)
    assert [(check.attack, check.equal) for check in checks] == [("fgsm", True)]


def test_another_program_does_not_verify(clone: Path, places: Places) -> None:
    program = load_program(clone / PROGRAM)
    last = program.ops[-1]
    flipped = replace(last, weight=last.weight[::-1].copy())
    save_program(Program((*program.ops[:-1], flipped)), clone / PROGRAM)
    assert not any(check.equal for check in verify(clone, places))


def test_a_damaged_program_is_one_line(clone: Path, places: Places) -> None:
    (clone / PROGRAM).write_bytes(b"RBIP" + bytes(60))
    with pytest.raises(UserError, match="integer program"):
        verify(clone, places)


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


def test_a_float_record_says_that_it_is_trained_again(
    places: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    record = evaluated(places, "none")
    folder = places.results / record.id
    assert not (folder / PROGRAM).exists()
    assert all(check.equal for check in verify(folder, places))
    assert "training it again" not in capsys.readouterr().err
    shutil.rmtree(places.cache / "train")
    assert all(check.equal for check in verify(folder, places))
    assert "training it again" in capsys.readouterr().err
