from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Digits:
    """A small CNN trained on scikit-learn's digits, and 200 test images it gets right."""

    net: nn.Module
    images: Tensor
    labels: Tensor
    train_images: Tensor
    train_labels: Tensor


def digits_net() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(512, 64),
            nn.ReLU(),
            nn.Linear(64, 10),
        )


def train_digits() -> Digits:
    """Train it: a few seconds, the same every time."""
    from sklearn.datasets import load_digits

    data = load_digits()
    images = torch.from_numpy(data.images).float()[:, None] / 16
    images, labels = (images * 255).round() / 255, torch.from_numpy(data.target).long()
    net, train = digits_net(), 1400
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    rng = torch.Generator().manual_seed(0)
    for _ in range(12):
        for index in torch.randperm(train, generator=rng).split(64):
            loss = nn.functional.cross_entropy(net(images[index]), labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    net.eval()
    with torch.no_grad():
        right = (net(images[train:]).argmax(1) == labels[train:]).nonzero()[:200, 0] + train
    return Digits(net, images[right], labels[right], images[:train], labels[:train])
