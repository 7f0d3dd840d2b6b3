"""The contracts of robench, and known answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from robench_example.calibration import CalibrationError, calibration_error
from robench_example.deepfool import DeepFool
from robench_example.jpeg import Jpeg, compress
from robench_example.perceptron import Perceptron
from robench_example.pruning import MagnitudePruning, prune

import robench
from robench.testing import (
    AttackContract,
    CompressorContract,
    DefenseContract,
    MetricContract,
    RuntimeContract,
    tiny_data,
    tiny_network,
)


class TestJpeg(DefenseContract):
    component = Jpeg()
    invalid = ({"quality": 0}, {"quality": 96})


class TestMagnitudePruning(CompressorContract):
    component = MagnitudePruning()
    invalid = ({"sparsity": 1.0}, {"sparsity": -0.1})


class TestDeepFool(AttackContract):
    component = DeepFool(steps=5)
    invalid = ({"steps": 0}, {"classes": 0}, {"overshoot": -1.0})


class TestCalibrationError(MetricContract):
    component = CalibrationError()
    invalid = ({"bins": 0},)


class TestPerceptron(RuntimeContract):
    component = Perceptron()

    def make(self, folder: Path) -> Path:
        return perceptron(folder / "tiny.mlp")


def perceptron(path: Path) -> Path:
    """A file whose logits are the brightness of the three rows where `tiny_data` has its bars."""
    rows = np.zeros((1, 8, 8, 3), dtype=np.float32)
    for label in range(3):
        rows[0, 3 * label, :, label] = 1
    layers = {"weight0": rows.reshape(64, 3), "bias0": np.zeros(3, dtype=np.float32)}
    with path.open("wb") as file:
        np.savez(file, shape=np.array([1, 8, 8]), **layers)
    return path


def test_a_file_of_ones_own_runtime_is_judged(tmp_path: Path) -> None:
    path = perceptron(tmp_path / "tiny.mlp")
    runtime = robench.registry().choices["runtime"].get("perceptron")
    if runtime is None:
        pytest.skip("the package is not installed")
    record = robench.evaluate(path, tiny_data(), attack="square", images=30, audit="off")
    assert record.file is not None
    assert (record.file.runtime, record.file.provider) == ("perceptron", "numpy")
    assert record.file.black_box


def test_jpeg_keeps_flat_images_and_changes_noisy_ones() -> None:
    flat = torch.full((2, 3, 16, 16), 128 / 255)
    noisy = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(compress(flat, 90), flat, atol=2 / 255, rtol=0)
    assert float((compress(noisy, 10) - noisy).abs().mean()) > 0.02


def test_prune_takes_the_smallest() -> None:
    weights = torch.tensor([[0.1, -3.0], [2.0, -0.2]])
    prune(weights, 0.5)
    assert weights.tolist() == [[0.0, -3.0], [2.0, 0.0]]


def test_pruning_ships_less() -> None:
    sizes = [
        MagnitudePruning(sparsity=sparsity).finish(tiny_network(), tiny_data()).deployed.nbytes()
        for sparsity in (0.0, 0.5, 0.9)
    ]
    assert sizes[0] > sizes[1] > sizes[2]


def test_calibration_error_of_a_coin_that_claims_certainty() -> None:
    logits = torch.tensor([[100.0, 0.0]] * 4)
    assert calibration_error(logits, torch.tensor([0, 0, 1, 1]), 15) == pytest.approx(0.5)
    assert calibration_error(logits, torch.tensor([0, 0, 0, 0]), 15) == pytest.approx(0.0)


def test_deepfool_finds_nearer_errors_than_the_bound_of_fgsm() -> None:
    record = robench.evaluate(
        tiny_network(), tiny_data(), attack=DeepFool(steps=20), images=30, audit="off"
    )
    unbounded = record.find("robust_accuracy", attack="deepfool", eps=None)
    assert unbounded is not None
    assert unbounded.value == 0.0
