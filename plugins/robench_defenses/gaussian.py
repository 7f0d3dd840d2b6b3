"""Training on noisy images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from robench import Defense, require

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class GaussianTraining(Defense):
    """Cross-entropy on images with Gaussian noise (Lecuyer et al., 2019; Cohen et al., 2019)."""

    sources: ClassVar[Mapping[str, str]] = {"paper": "https://arxiv.org/abs/1902.02918"}

    sigma: float = 0.25
    """Standard deviation of the noise in [0,1] pixels; noisy images are not clipped."""

    def __post_init__(self) -> None:
        require(0 <= self.sigma <= 1, f"expected sigma in [0,1] pixels, got {self.sigma}")

    def loss(
        self, model: nn.Module, images: Tensor, labels: Tensor, rng: torch.Generator
    ) -> Tensor:
        """Cross-entropy at one draw of noise for each image."""
        import torch
        import torch.nn.functional as F

        noise = torch.randn(images.shape, generator=rng).to(images.device)
        return F.cross_entropy(model(images + self.sigma * noise), labels)
