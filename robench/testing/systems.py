"""What a deployed model and its twin keep, whoever made them."""

from __future__ import annotations

import torch
from torch import Tensor

from robench.core.data import Data
from robench.core.system import ABSTAIN, System


def check_system(system: System, data: Data) -> Tensor:
    """Labels and gradients as the system contract says, an empty batch included."""
    images = data.test.float_images()
    labels = system.deployed.predict(images)
    assert labels.dtype == torch.int64, f"expected int64 labels, got {labels.dtype}"
    assert labels.shape == data.test.labels.shape
    assert bool(((labels >= ABSTAIN) & (labels < len(data.classes))).all())
    # The audit may hand over no image at all.
    assert system.deployed.predict(images[:0]).shape == (0,), "expected no labels of no images"
    with torch.no_grad():
        assert system.twin.eval()(images[:0]).shape == (0, len(data.classes))
    leaf = images[:8].clone().requires_grad_()
    check_gradient(system.twin.eval()(leaf), leaf)
    return labels


def check_gradient(logits: Tensor, images: Tensor) -> None:
    """Finite gradients that reach the images."""
    (gradient,) = torch.autograd.grad(logits.sum(), images)
    assert bool(torch.isfinite(gradient).all()), "expected finite gradients"
    assert float(gradient.abs().sum()) > 0, "expected gradients that reach the images, got zero"
