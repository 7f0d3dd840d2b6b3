"""How well a twin computes the deployed function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from robench.base.errors import PluginError
from robench.core.system import System, forward

if TYPE_CHECKING:
    from robench.core.data import Split


@dataclass(frozen=True)
class Agreement:
    """How well the twin computes the deployed function, before smoothing."""

    equal_labels: float
    """Share of test images with the same label, in [0,1]."""
    logit_gap: float | None
    """Largest absolute difference of two logits; None when the deployed model has none."""
    n: int


def agreement(system: System, test: Split) -> Agreement:
    """Compare labels and logits on test images; raises PluginError for a malformed prediction."""
    images = test.float_images()
    twin = forward(system.twin, images)
    labels = system.deployed.predict(images)
    if labels.shape != test.labels.shape or labels.dtype != torch.int64:
        raise PluginError(
            f"expected predict to give {len(test)} int64 labels, got {labels.dtype} "
            f"{tuple(labels.shape)}"
        )
    logits = getattr(system.deployed, "logits", None)
    gap = float((logits(images) - twin).abs().max()) if logits else None
    return Agreement(float((twin.argmax(1) == labels).double().mean()), gap, len(test))
