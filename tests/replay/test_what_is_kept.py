"""What a record keeps stands for every file that its configuration names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import robench
from robench.base.hashing import file_hash
from robench.core.data import Data
from robench.core.weights import load_weights
from robench.records.store import PROGRAM, WEIGHTS
from robench.replay.verify import Verification, verify
from robench.run.config import Places
from robench.training.recipe import TrainConfig
from tests.replay.conftest import evaluated


def model_step(verification: Verification) -> tuple[str, str]:
    step = next(step for step in verification.steps if step.name == "model")
    return step.outcome, step.text


def test_weights_are_those_that_were_trained(float_record: Path) -> None:
    cached = list((float_record.parents[1] / "cache").glob("train/*/*/model.safetensors"))
    assert file_hash(float_record / WEIGHTS) in {file_hash(path) for path in cached}
    assert not (float_record / PROGRAM).exists()


def test_a_program_needs_no_weights(program_record: Path) -> None:
    assert (program_record / PROGRAM).is_file()
    assert not (program_record / WEIGHTS).exists()


def test_a_checkpoint_is_not_opened_again(
    float_record: Path, places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.safetensors"
    path.write_bytes((float_record / WEIGHTS).read_bytes())
    model = robench.registry().get("model", "checkpoint").make(path=str(path))
    record = robench.evaluate(
        model, "digits", attack="fgsm", images=100, audit="off", places=places
    )
    path.unlink()
    verification = verify(places.results / record.id, places, seed=0)
    assert verification.level == "verified", verification.steps


@pytest.mark.parametrize("defense", ["mulaw", "float_rs"])
def test_what_follows_training_is_made_again(defense: str, places: Places) -> None:
    record = evaluated(
        places, defense=defense, attack="fgsm", images=100, train=TrainConfig(epochs=2)
    )
    folder = places.results / record.id
    verification = verify(folder, places, seed=0)
    assert verification.level == "verified", verification.steps


def test_a_network_handed_over_keeps_its_weights_and_is_not_repeated(
    trained_net: nn.Module, tiny_data: Data, places: Places
) -> None:
    record = robench.evaluate(trained_net, tiny_data, attack="fgsm", audit="off", places=places)
    folder = places.results / record.id
    kept = load_weights(torch.nn.Sequential(*trained_net), folder / WEIGHTS)
    assert all(
        torch.equal(a, b) for a, b in zip(kept.parameters(), trained_net.parameters(), strict=True)
    )
    found, text = model_step(verify(folder, places))
    assert (found, text) == ("not done", "its dataset and its model were handed over in Python")
