"""What is measured of a file: how far its twin agrees, and how well the twin finds examples."""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.files.making import Shipped
from robench.audit.checks.saturates import Saturates
from robench.audit.trial import SystemTrial
from robench.base.stats import paired, wilson
from robench.core.data import Data
from robench.core.system import System, forward
from robench.core.threat import Threat
from robench_attacks.gradient import PGD
from robench_attacks.square import Square

THREAT = Threat("linf", 2 / 255)
BATCH = 250
STRENGTH = 500
"""Images of the comparison of attacks."""
TIMED, ROUNDS = 100, 5
QUERIES = 500


class Scores(nn.Module):
    """What a black-box search asks: the file's own logits."""

    def __init__(self, system: System) -> None:
        super().__init__()
        self.system = system

    def forward(self, images: Tensor) -> Tensor:
        return self.system.deployed.logits(images)  # type: ignore[attr-defined]


def searched(
    attack: PGD | Square, network: nn.Module, images: Tensor, labels: Tensor, seed: int = 0
) -> Tensor:
    """Legal candidates, searched on a network batch by batch."""
    rng = torch.Generator().manual_seed(seed)
    parts = [
        attack.run(network, some, right, THREAT, rng)
        for some, right in zip(images.split(BATCH), labels.split(BATCH), strict=True)
    ]
    return THREAT.project(torch.cat(parts), images)


def agreement(shipped: Shipped, data: Data, count: int) -> dict[str, Any]:
    """Equal labels of twin and file, clean and on PGD-10's examples; the largest logit gap."""
    system = shipped.system(data)
    images, labels = data.test.float_images()[:count], data.test.labels[:count]
    result: dict[str, Any] = {"n": count, "bytes": system.deployed.nbytes()}
    result["accuracy"] = _share(system.deployed.predict(images), labels)
    result["parent"] = _share(forward(shipped.parent, images).argmax(1), labels)
    if system.black_box:
        return result | {"black box": system.black_box}
    clean, gap = _equal(system, images)
    adversarial, _ = _equal(system, searched(PGD(steps=10), system.twin, images, labels))
    spread = {
        name: _share(other.predict(images), system.deployed.predict(images))
        for name, other in system.deployed.variants().items()  # type: ignore[attr-defined]
    }
    return result | {"clean": clean, "adversarial": adversarial, "gap": gap, "spread": spread}


def strength(shipped: Shipped, data: Data) -> dict[str, Any]:
    """What is left of the file by each way to search, and the paired difference of the two best.

    Through twins: PGD-40 on the faithful twin, then on each other twin where the file still holds.
    From outside: the parent's PGD-40 transferred, then Square on the file's answers.
    """
    system = shipped.system(data)
    images, labels = data.test.float_images()[:STRENGTH], data.test.labels[:STRENGTH]
    pgd = PGD(steps=40)
    right = system.deployed.predict(images) == labels

    def left(network: nn.Module, attack: PGD | Square, held: Tensor) -> Tensor:
        found = searched(attack, network, images[held], labels[held])
        still = held.clone()
        still[held] = system.deployed.predict(found) == labels[held]
        return still

    faithful = left(system.twin, pgd, right)
    through = faithful
    for twin in system.others.values():
        through = left(twin, pgd, through)
    transferred = left(shipped.parent, pgd, right)
    outside = left(Scores(system), Square(queries=QUERIES), transferred)
    pair = paired(through.numpy(), outside.numpy())
    return {
        "clean": _interval(right),
        "faithful": _interval(faithful),
        "three": _interval(through),
        "transfer": _interval(transferred),
        "transfer + square": _interval(outside),
        "pgd10": _interval(left(system.twin, PGD(steps=10), right)),
        "square": _interval(left(Scores(system), Square(queries=QUERIES), right)),
        "difference": [pair.difference, pair.low, pair.high],
    }


def saturation(shipped: Shipped, data: Data) -> dict[str, Any]:
    """What the audit's check of saturation says of the file, and how far it saturates."""
    system = shipped.system(data)
    images, labels = data.test.float_images()[:STRENGTH], data.test.labels[:STRENGTH]
    logits = system.deployed.logits(images)  # type: ignore[attr-defined]
    highest = logits.amax(1)
    tied = (logits == highest[:, None]).sum(1) > 1
    found: dict[str, Any] = {
        "ceiling": float((highest == highest.max()).double().mean()),
        "ties": float(tied.double().mean()),
    }
    trial = SystemTrial(system, images, labels, THREAT, 0, steps=10, thrifty=False)
    for finding in Saturates().look(trial):
        found |= {"verdict": finding.verdict, "value": finding.value, "sentence": finding.sentence}
        found |= {"low": finding.low, "high": finding.high}
    return found


def seconds(shipped: Shipped, data: Data) -> dict[str, Any]:
    """Processor time of PGD-40, in turns: faithful twin over float parent, the median ratio."""
    system = shipped.system(data)
    images, labels = data.test.float_images()[:TIMED], data.test.labels[:TIMED]
    ratios = []
    for turn in range(ROUNDS + 1):
        taken = []
        for network in (system.twin, shipped.parent):
            start = time.process_time()
            searched(PGD(steps=40), network, images, labels, turn)
            taken.append(time.process_time() - start)
        if turn:
            ratios.append(taken[0] / taken[1])
    return {"ratio": statistics.median(ratios), "range": [min(ratios), max(ratios)]}


def _equal(system: System, images: Tensor) -> tuple[float, float]:
    """Share of equal labels, and the largest difference of two logits."""
    mine, theirs = forward(system.twin, images), system.deployed.logits(images)  # type: ignore[attr-defined]
    same = torch.from_numpy(mine.numpy().argmax(1) == theirs.numpy().argmax(1))
    return float(same.double().mean()), float((mine - theirs).abs().max())


def _share(labels: Tensor, others: Tensor) -> float:
    return float((labels == others).double().mean())


def _interval(right: Tensor) -> list[float]:
    low, high = wilson(int(right.sum()), len(right))
    return [float(np.mean(right.numpy())), low, high]
