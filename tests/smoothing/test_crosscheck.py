"""Attacks inside certified balls: sound certificates survive, false ones are found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from robench.smoothing import SmoothedDeployed, crosscheck
from robench.smoothing.noise import Noise

SHAPE = (1, 4, 4)
NOISE = Noise(sigma="0.12")


class Bright(nn.Module):
    """Class 1 where the mean pixel is above 127: its own smoothed version."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        excess = images.flatten(1).mean(1) - 127 / 255
        return torch.stack([-excess, excess], 1)


@dataclass(frozen=True)
class Base:
    """The same network, as it ships."""

    randomised: bool = False

    def predict(self, images: torch.Tensor) -> torch.Tensor:
        return Bright()(images).argmax(1)


DEPLOYED = SmoothedDeployed(Base(), NOISE, classes=2, draws=1000, alpha=0.001)


def attacked(levels: list[int], radius2: list[int]) -> list[crosscheck.Hit]:
    """Hits on flat images of these levels, whose certificates are as given, true or not."""
    images = np.stack([np.full(SHAPE, level, dtype=np.uint8) for level in levels])
    labels = (np.array(levels) > 127).astype(np.int64)
    torch.manual_seed(0)
    rng = torch.Generator().manual_seed(0)
    found = crosscheck.attack(
        DEPLOYED, Bright(), images, labels, np.array(radius2), rng, budget="quick"
    )
    for hit in found:
        assert crosscheck.squared(hit.pixels[None], images[hit.position][None])[0] == hit.length2
        assert hit.length2 <= radius2[hit.position]
        assert hit.draws / 2 < hit.votes <= hit.draws
    return found


def test_true_certificates_hold():
    """Level 137 is 10 above the boundary: |delta| = 10 * sqrt(16) reaches it."""
    assert attacked([137, 117], [39**2, 39**2]) == []


def test_false_certificates_are_found_each_inside_its_own_ball():
    hits = attacked([137, 130, 131, 255], [39**2, 60**2, 40**2, 500**2])
    assert [hit.position for hit in hits] == [1, 2]
    assert [hit.found for hit in hits] == [0, 0]
    assert hits[0].pixels.mean() < 127


def test_a_label_that_votes_do_not_give_breaks_without_a_change():
    image = np.full((1, *SHAPE), 200, dtype=np.uint8)
    (hit,) = crosscheck.judged(DEPLOYED, image, image, np.array([0]), 1)
    assert (hit.found, hit.length2) == (1, 0)


def test_abstaining_breaks_nothing():
    image = np.full((1, *SHAPE), 127, dtype=np.uint8)
    assert crosscheck.judged(DEPLOYED, image, image, np.array([0]), 1) == []


def test_the_certificates_that_reach_furthest_come_first():
    """By what fresh votes support, not by the radius: the largest here is true."""
    images = np.stack([np.full(SHAPE, level, dtype=np.uint8) for level in (137, 160, 131, 130)])
    radius2 = np.array([30**2, 60**2, 50**2, -1])
    rows = crosscheck.nearest(DEPLOYED, images, np.array([1, 1, 1, -1]), radius2, 2, 1)
    assert rows.tolist() == [2, 0]
    none = crosscheck.nearest(DEPLOYED, images, np.array([-1] * 4), np.array([-1] * 4), 2, 1)
    assert none.tolist() == []
