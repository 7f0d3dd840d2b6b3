"""How far a file's twin computes the file's function, under attack too, beside the file's own
spread."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from robench.base.seeds import generator
from robench.core.batches import HELD, parts
from robench.core.pixels import floats
from robench.core.system import forward, module_device
from robench.search import GradientSearch
from robench.shipped.deployed import ALONE, FileDeployed

if TYPE_CHECKING:
    from torch import Tensor

    from robench.core.data import Split
    from robench.core.record import TwinAgreement
    from robench.core.system import Deployed, System
    from robench.core.threat import Threat

CANDIDATES = 500
"""Images for which adversarial candidates are made, at most."""
SEARCH = GradientSearch(steps=10, step=2.5, random_start=True, best=False)
"""What makes them, on the twin alone: clean agreement says little of images near a boundary."""
BATCH = 100
FEW = 50
"""Images that are asked about one by one, at most."""


def under_attack(
    found: TwinAgreement, system: System, test: Split, threat: Threat, seed: int
) -> TwinAgreement:
    """What was found of a file's twin on clean images, with what adversarial candidates show.

    Beside both stands how far the file agrees with itself, run in other ways.
    """
    ways = getattr(system.deployed, "variants", dict[str, "Deployed"])()
    here = _labels(system.deployed, test.images)
    update: dict[str, object] = {"spread": _least(here, ways, test.images)}
    if not system.black_box:
        some = test.take(torch.arange(len(test))[:: -(-len(test) // CANDIDATES)])
        candidates = _candidates(system, some, threat, seed)
        labels = system.deployed.predict(candidates)
        twin = forward(system.twin, candidates).argmax(1)
        update |= {
            "adversarial": _equal(twin, labels),
            "adversarial_n": len(some),
            "adversarial_spread": _least(labels, ways, candidates),
            "explained": _explained(system, some.float_images(), candidates),
        }
    return found.model_copy(update=update)


def _explained(system: System, clean: Tensor, candidates: Tensor) -> float | None:
    """The share of the file's logits, and of their change under attack, that its twin explains.

    Labels alone cannot tell: a twin may add to a file's logits what leads a search astray, and
    leave all labels. From the change is taken off what the gap on clean images, met twice, comes
    to: a small ball changes little, and rounding is no other function. None without logits.
    """
    deployed = system.deployed
    if not isinstance(deployed, FileDeployed):
        return None
    likely = deployed.contract.outputs == "probabilities"
    before, after = (
        [one.double().softmax(1) if likely else one.double() for one in pair]
        for pair in (
            (deployed.logits(images), forward(system.twin, images))
            for images in (clean, candidates)
        )
    )
    gap = _squares(before[0] - before[1])
    change = after[0] - before[0]
    missed = _squares(change - (after[1] - before[1]))
    shares = (
        _share_left(gap, _squares(before[0] - before[0].mean(0))),
        _share_left(max(missed - 2 * gap, 0.0), _squares(change)),
    )
    return min(shares)


def _squares(values: Tensor) -> float:
    return float(values.square().sum())


def _share_left(missed: float, whole: float) -> float:
    """1 less the share that is missed, from 0 to 1; 0 for numbers that are none."""
    if missed == 0.0:
        return 1.0
    share = 1 - missed / whole if whole > 0 else 0.0
    return max(share, 0.0) if math.isfinite(share) else 0.0


def _candidates(system: System, test: Split, threat: Threat, seed: int) -> Tensor:
    """Legal candidates for the images, searched on the twin: float32, on the CPU."""
    images, rng = test.float_images(), generator(seed, "agreement", "candidates")
    device, parts = module_device(system.twin), []
    for x, y in zip(images.split(BATCH), test.labels.split(BATCH), strict=True):
        raw = SEARCH.run(system.twin, x.to(device), y.to(device), threat, rng)
        parts.append(threat.project(raw.detach().cpu(), x))
    return torch.cat(parts)


def _labels(deployed: Deployed, kept: Tensor) -> Tensor:
    """The labels of images, uint8 or float32 in [0,1]: int64 (N,)."""
    runs = parts(len(kept), kept.shape[1:], HELD)
    return torch.cat([deployed.predict(floats(kept[at])) for at in runs])


def _least(labels: Tensor, ways: Mapping[str, Deployed], images: Tensor) -> float | None:
    """The smallest share of the images' labels that another way of running the file gives, too."""
    shares = []
    for name, way in ways.items():
        step = -(-len(images) // FEW) if name == ALONE else 1
        shares.append(_equal(_labels(way, images[::step]), labels[::step]))
    return min(shares, default=None)


def _equal(first: Tensor, second: Tensor) -> float:
    return float((first == second).double().mean())
