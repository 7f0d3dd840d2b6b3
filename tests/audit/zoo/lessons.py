"""What the zoo learns: data, and the threat under which it is attacked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from robench.core.data import Split, stratified
from robench.core.threat import Threat


@dataclass(frozen=True)
class Lesson:
    """Training and test images, float32 in [0,1], and the threat they are attacked under."""

    train: Split
    test: Split
    threat: Threat
    epochs: int
    width: int


def digits(test: int = 200, eps: float = 0.2, seed: int = 1) -> Lesson:
    """scikit-learn's digits: 8 x 8 pixels."""
    import numpy as np
    from sklearn.datasets import load_digits

    data = load_digits()
    pixels = torch.from_numpy((data.images[:, None] / 16 * 255).round().astype("uint8"))
    split = Split(pixels, torch.from_numpy(data.target).long())
    held = stratified(split.labels, 500, np.random.default_rng(0))
    kept = torch.ones(len(split), dtype=torch.bool)
    kept[held] = False
    judged = stratified(split.labels[held], test, np.random.default_rng(seed))
    return Lesson(
        split.take(kept.nonzero()[:, 0]), split.take(held[judged]), Threat("linf", eps), 25, 8
    )


def mnist(root: Path, test: int = 200, eps: float = 0.2, seed: int = 1) -> Lesson:
    """MNIST: 10,000 images to train on."""
    import numpy as np

    from robench_data.mnist import MNIST

    data = MNIST().load(root)
    taught = stratified(data.train.labels, 10_000, np.random.default_rng(0))
    judged = stratified(data.test.labels, test, np.random.default_rng(seed))
    return Lesson(
        data.train.take(taught), data.test.take(judged), Threat("linf", eps), epochs=4, width=16
    )
