"""Networks that hide their gradients, and what an adaptive attacker differentiates instead.

All but the first compute the labels of the network inside exactly, so its robust accuracy is
theirs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Masked(nn.Module):
    """A network behind a mask; `adaptive` has its labels, or nearly, and honest gradients."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    @property
    def adaptive(self) -> nn.Module:
        """What an attacker who knows the mask differentiates."""
        return self.model


class FewLevels(Masked):
    """Rounds each pixel to one of eight levels: the gradient is zero."""

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the rounded images."""
        logits: Tensor = self.model((images * 7).round() / 7)
        return logits

    @property
    def adaptive(self) -> nn.Module:
        """The same network, its gradient led straight through the rounding (Athalye et al.)."""
        return _StraightLevels(self.model)


class _StraightLevels(Masked):
    def forward(self, images: Tensor) -> Tensor:
        rounded = images + ((images * 7).round() / 7 - images).detach()
        logits: Tensor = self.model(rounded)
        return logits


class Clipped(Masked):
    """Logits below the largest by more than a half are raised to there: a plateau."""

    def forward(self, images: Tensor) -> Tensor:
        """Logits between -0.5 and 0."""
        logits = self.model(images)
        behind = logits - logits.amax(1, keepdim=True)
        return torch.maximum(behind, torch.full_like(behind, -0.5))


class Scaled(Masked):
    """Logits ten thousand times as large: float32's softmax saturates."""

    def forward(self, images: Tensor) -> Tensor:
        """The scaled logits."""
        logits: Tensor = self.model(images)
        return logits * 1e4


class _Bend(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, images: Tensor) -> Tensor:
        del context
        return images.clone()

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        del context
        shape = gradients[0].shape[1:]
        drawn = torch.rand(shape, generator=torch.Generator().manual_seed(0))
        return gradients[0] * ((drawn < 0.4).float() * 2 - 1)


class Bent(Masked):
    """Its backward pass turns the sign of three pixels in five."""

    def forward(self, images: Tensor) -> Tensor:
        """The logits themselves."""
        bent: Tensor = _Bend.apply(images)  # type: ignore[no-untyped-call]
        logits: Tensor = self.model(bent)
        return logits
