"""What a record keeps stands for every file that its configuration names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import robench
from robench.base.hashing import file_hash
from robench.core.data import Data
from robench.core.weights import load_weights
from robench.records.store import PROGRAM, WEIGHTS, read
from robench.replay.verify import Verification, verify
from robench.run.config import Places
from robench.training.recipe import TrainConfig
from tests.docs.pages import DOCS, blocks, written
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


def test_examples_are_read_as_the_documentation_says(program_record: Path, tmp_path: Path) -> None:
    (block,) = [b for b in blocks(DOCS / "explanation/trust.md") if b.language == "python"]
    known: dict[str, Any] = {"robench": robench, "np": np, "pd": pd, "root": tmp_path}
    exec(block.text, known | {"folder": program_record}, known)
    clean = known["data"].test.images.numpy()[known["numbers"]]
    far = np.abs(known["examples"].astype(int) - clean).max((1, 2, 3)) / 255
    table = known["outcomes"]
    first = read(program_record).rows[0]
    row = table[(table.attack == first.attack) & (table.eps == first.eps)]
    recorded = row.linf[row.prediction != row.clean_prediction]
    assert np.allclose(far, recorded, atol=1e-6)
    assert far.max() > 0


def test_every_file_is_documented(program_record: Path, certified_record: Path) -> None:
    page = written("explanation/trust.md")
    for path in (*program_record.iterdir(), *certified_record.iterdir()):
        assert f"`{path.name}`" in page


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


@pytest.mark.parametrize("defense", ["mulaw", pytest.param("float_rs", marks=pytest.mark.slow)])
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
