"""On real MNIST, our searches must not be weaker than the stock ART classes at equal steps."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from robench.base.stats import paired
from robench.core.threat import Threat, distance
from robench_attacks import BIM, CW, FGSM, MIM, PGD, Square
from robench_attacks.engine import EngineAttack
from robench_data.mnist import MNIST

pytestmark = pytest.mark.slow

COUNT = 120
# Radii at which both sides leave some images right and some wrong, so that either could lose.
CASES = {
    "fgsm": (FGSM(), Threat("linf", 0.15, grid=False)),
    "pgd": (PGD(), Threat("linf", 0.12, grid=False)),
    "bim": (BIM(), Threat("linf", 0.12, grid=False)),
    "mim": (MIM(), Threat("linf", 0.12, grid=False)),
    "cw": (CW(search_steps=4, steps=10), Threat("l2", None, grid=False)),
    "square": (Square(queries=200), Threat("linf", 0.18, grid=False)),
}
CW_BUDGET = 1.5

Problem = tuple[nn.Module, Tensor, Tensor]


@pytest.fixture
def mnist(data_root: Path) -> Problem:
    return trained(data_root)


@cache
def trained(data_root: Path) -> Problem:
    data = MNIST().load(data_root)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(
            *(nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(16, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(1568, 128), nn.ReLU(), nn.Linear(128, 10)),
        )
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    for index in torch.randperm(20_000, generator=torch.Generator().manual_seed(0)).split(64):
        images = data.train.images[index].float() / 255
        loss = nn.functional.cross_entropy(net(images), data.train.labels[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net.eval(), data.test.float_images()[:COUNT], data.test.labels[:COUNT]


def left_right(attack: EngineAttack, threat: Threat, problem: Problem) -> NDArray[np.bool_]:
    net, images, labels = problem
    found = attack.run(net, images, labels, threat, torch.Generator().manual_seed(0))
    judged = threat.project(found, images)
    with torch.no_grad():
        right = net(judged).argmax(1) == labels
    if threat.eps is None:
        right |= distance(judged, images, "l2") > CW_BUDGET
    judged_right: NDArray[np.bool_] = right.numpy()
    return judged_right


@pytest.mark.parametrize("name", CASES)
def test_ours_leaves_no_more_images_right_than_stock_art(name: str, mnist: Problem) -> None:
    attack, threat = CASES[name]
    ours = left_right(attack, threat, mnist)
    stock = left_right(replace(attack, engine="art"), threat, mnist)
    assert 0.02 < stock.mean() < 0.98, "this radius cannot tell the two apart"
    compared = paired(ours, stock)
    assert compared.low <= 0 or compared.p_value >= 0.05
