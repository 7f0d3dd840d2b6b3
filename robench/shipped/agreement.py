"""How far a file's twin computes the file's function, under attack too, beside the file's own
spread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from robench.base.seeds import generator
from robench.core.system import forward, module_device
from robench.search import GradientSearch
from robench.shipped.deployed import ALONE

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
    images = test.float_images()
    ways = getattr(system.deployed, "variants", dict[str, "Deployed"])()
    here = system.deployed.predict(images)
    update: dict[str, object] = {"spread": _least(here, ways, images)}
    if not system.black_box:
        some = test.take(torch.arange(len(test))[:: -(-len(test) // CANDIDATES)])
        candidates = _candidates(system, some, threat, seed)
        labels = system.deployed.predict(candidates)
        twin = forward(system.twin, candidates).argmax(1)
        update |= {
            "adversarial": _equal(twin, labels),
            "adversarial_n": len(some),
            "adversarial_spread": _least(labels, ways, candidates),
        }
    return found.model_copy(update=update)


def _candidates(system: System, test: Split, threat: Threat, seed: int) -> Tensor:
    """Legal candidates for the images, searched on the twin: float32, on the CPU."""
    images, rng = test.float_images(), generator(seed, "agreement", "candidates")
    device, parts = module_device(system.twin), []
    for x, y in zip(images.split(BATCH), test.labels.split(BATCH), strict=True):
        raw = SEARCH.run(system.twin, x.to(device), y.to(device), threat, rng)
        parts.append(threat.project(raw.detach().cpu(), x))
    return torch.cat(parts)


def _least(labels: Tensor, ways: Mapping[str, Deployed], images: Tensor) -> float | None:
    """The smallest share of labels that another way of running the file gives, too."""
    shares = []
    for name, way in ways.items():
        step = -(-len(images) // FEW) if name == ALONE else 1
        shares.append(_equal(way.predict(images[::step]), labels[::step]))
    return min(shares, default=None)


def _equal(first: Tensor, second: Tensor) -> float:
    return float((first == second).double().mean())
