"""Attacks inside certified balls: sound certificates survive, false ones are found."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from robench.smoothing import crosscheck
from robench.smoothing.noise import Noise
from robench.smoothing.prediction import predict
from robench.smoothing.radius import ABSTAIN
from robench.smoothing.votes import IntegerVotes

SHAPE = (1, 4, 4)


def bright(inputs: np.ndarray) -> np.ndarray:
    """Class 1 where the mean pixel is above 127."""
    return (inputs.reshape(len(inputs), -1).mean(1) > 127).astype(np.int64)


class Twin(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        excess = images.flatten(1).mean(1) - 127 / 255
        return torch.stack([-excess, excess], 1)


def attacked(levels: list[int], radius2: list[int]) -> list[crosscheck.Hit]:
    """Hits on flat images of these levels, whose certificates are as given, true or not."""
    images = np.stack([np.full(SHAPE, level, dtype=np.uint8) for level in levels])
    labels, squares = bright(images), np.array(radius2)
    rng = torch.Generator().manual_seed(0)
    found = crosscheck.attack_balls(Twin(), images, labels, squares, rng)
    assert (crosscheck.squared(found, images) <= squares).all()
    source = IntegerVotes(images=found, labels=bright, classes=2, noise=Noise(sigma="0.12"), seed=1)
    now = predict(source, np.arange(len(found)), 2000, 1e-9)
    numbers = 10 * np.arange(len(found))
    return crosscheck.hits(numbers, images, found, labels, now, squares)


def test_true_certificates_hold():
    """Level 137 is 10 above the boundary: |delta| = 10 * sqrt(16) reaches it."""
    assert attacked([137, 117, 255], [39**2, 39**2, 500**2]) == []


def test_false_certificates_are_found_with_their_example():
    (hit,) = attacked([137, 130], [39**2, 60**2])
    assert (hit.image, hit.label, hit.found) == (10, 1, 0)
    assert (130 + hit.delta).mean() < 127
    assert int((hit.delta**2).sum()) <= 60**2
    assert str(hit).startswith("image 10: label 1 certified for squared changes up to 3600, label")
    assert "0:-" in str(hit)


def test_chance_allows_few_and_more_are_refused():
    assert crosscheck.allowed(500, 0.001) == 6
    assert crosscheck.allowed(500, 1e-9) == 0
    (hit,) = attacked([130], [60**2])
    crosscheck.require_unbroken([hit] * 6, 500, 0.001)
    with pytest.raises(crosscheck.CertificateViolated, match="at most 6 of 500"):
        crosscheck.require_unbroken([hit] * 7, 500, 0.001)


def test_abstaining_breaks_nothing():
    image, one = np.zeros((1, *SHAPE), dtype=np.uint8), np.array([1])
    assert crosscheck.hits(one, image, image, one, np.array([ABSTAIN]), one) == []
