"""On which images a further twin is worth a search: where its gradients are others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from robench.base.seeds import generator, seed_scope
from robench.core.batches import ASKED, parts
from robench.core.pixels import floats
from robench.core.system import module_device
from robench.search.gradient import input_gradient, searching

if TYPE_CHECKING:
    from robench.core.data import Split

VERSION = 2
"""Enters the keys of attacks on files alone, whose numbers change with what is said here."""
POINTS = 2
"""Points of each image at which gradients are compared: the image, and what was found for it."""
SAME = 1e-4
"""Part of an image's largest gradient up to which two gradients differ by float32 alone."""


def apart(
    faithful: nn.Module,
    others: Mapping[str, nn.Module],
    test: Split,
    found: Tensor,
    seed: int,
    batch: int,
) -> dict[str, Tensor]:
    """By further twin, on which images it has another gradient than the faithful one: bool (N,).

    `found` are candidates for the images of `test`, as they are kept; `batch` images at most are
    looked at together. One random sum of the logits is differentiated: a loss would weigh them by
    their values, which rounding moves, and rounding passes gradients. A search that follows the
    same gradients once more is but a restart.
    """
    differs = {name: torch.zeros(len(test), dtype=torch.bool) for name in others}
    for part in parts(len(test), test.images.shape[1:], ASKED, batch):
        for points in (test.take(part).float_images(), floats(found[part])):
            mine = _gradient(faithful, points, seed)
            for name, other in others.items():
                theirs = _gradient(other, points, seed)
                gap, scale = ((mine - theirs).abs().amax(1), theirs.abs().amax(1))
                # Not finite is not the same.
                differs[name][part] |= ~(gap <= SAME * scale)
    return differs


def _gradient(twin: nn.Module, points: Tensor, seed: int) -> Tensor:
    """The gradient of a random sum of the logits, the twin's own draws from a seed: (N, pixels)."""
    device = module_device(twin)
    leaf = points.to(device).clone().requires_grad_()
    with searching(twin), seed_scope(seed):
        logits = twin(leaf).float()
        weights = torch.randn(logits.shape[1], generator=generator(seed)).to(logits)
        return input_gradient(logits @ weights, leaf).flatten(1).cpu()
