"""`robench audit`: a stored record, and a user's own model."""

from __future__ import annotations

from pathlib import Path

import pytest

import robench
from robench.cli.main import main
from robench.collection.results import load
from robench.records.store import find
from robench.replay.audit import audit_record
from robench.run.config import Places
from robench.training.recipe import TrainConfig


def test_the_full_audit_of_a_stored_record(places: Places) -> None:
    pytest.importorskip("robench_data")
    first = robench.evaluate(
        "small_cnn",
        "digits",
        attack="fgsm",
        images=40,
        train=TrainConfig(epochs=2),
        audit="off",
        places=places,
    )
    assert first.audit == ()
    record, folder = audit_record(find(first.id, places.results), places)
    assert record.id != first.id
    assert [audit.level for audit in record.audit] == ["full"]
    assert {"planted", "black_box"} <= {f.check for f in record.audit[0].findings}
    assert record.values[: len(first.values)] == first.values
    assert folder.is_dir()
    assert "audited_accuracy" in set(load(places.results).metric)


def test_says_what_it_expects(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit"]) == 2
    assert main(["audit", "--model", "os:getcwd", "images=20"]) == 2
    assert "expected one RECORD, or --model MODULE:FUNCTION" in capsys.readouterr().err


def test_own_model_is_audited_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The network is not trained: untrained it is at chance, about which nothing is claimed."""
    (tmp_path / "own_net_for_audit.py").write_text(
        "from torch import nn\n"
        "def make(shape, classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(shape[1] * shape[2], classes))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    command = ["audit", "--model", "own_net_for_audit:make"]
    assert main([*command, "dataset=digits", "attack=fgsm", "images=20", "threads=1"]) == 0
    shown = capsys.readouterr().out
    assert "model=python" in shown
    assert "at chance" in shown
