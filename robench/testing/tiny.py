"""Data and a network small enough to train in a moment."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import nn

from robench.base.seeds import seed_scope
from robench.core.data import Data, Split
from robench.core.threat import UsualThreat
from robench.plugin.components import Dataset


def tiny_data() -> Data:
    """Three classes of grey 8x8 images with one bright bar each: 120 to train on, 60 to test."""
    usual = UsualThreat({"linf": (0.05, 0.1, 0.2), "l2": (0.25, 0.5, 1.0)}, 0.2)
    return Data(_bars(120, 0), _bars(60, 1), ("top", "middle", "bottom"), usual)


@dataclass(frozen=True, kw_only=True)
class TinyData(Dataset):
    """The data of `tiny_data` as a component."""

    def load(self, root: Path) -> Data:
        """Made anew each time."""
        del root
        return tiny_data()


def _bars(count: int, seed: int) -> Split:
    labels = torch.arange(count) % 3
    images = 40 * torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed)) + 60
    for label in range(3):
        images[labels == label, 0, 3 * label] += 90
    return Split(images.round().to(torch.uint8), labels)


def tiny_network() -> nn.Module:
    """A small network, trained on `tiny_data` to high accuracy, in eval mode."""
    return deepcopy(_trained())


@cache
def _trained() -> nn.Module:
    return train(untrained())


def untrained() -> nn.Module:
    """The small network, its weights as drawn."""
    with seed_scope(0):
        layers = [nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 3)]
        return nn.Sequential(*layers)


def train(model: nn.Module) -> nn.Module:
    """The model, trained on `tiny_data` in place, in eval mode."""
    data = tiny_data().train
    optimizer = torch.optim.Adam(model.train().parameters(), 0.01)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(data.float_images()), data.labels).backward()
        optimizer.step()
    optimizer.zero_grad()
    return model.eval()
