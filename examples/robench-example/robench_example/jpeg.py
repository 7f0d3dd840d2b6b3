"""JPEG compression of the input (Dziugaite et al., 2016; Guo et al., 2018)."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import robench

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Jpeg(robench.Defense):
    """Compress every image as JPEG before it is classified.

    JPEG has no useful gradient, so the twin takes it as the identity's (BPDA, Athalye et al.,
    2018): without that substitute the attacks would fail and the defense would look strong.
    """

    quality: int = 60
    """JPEG quality, 1 to 95."""

    def __post_init__(self) -> None:
        robench.require(1 <= self.quality <= 95, f"expected quality 1 to 95, got {self.quality}")

    def deploy(self, system: robench.System, context: robench.DeployContext) -> robench.System:
        """Put JPEG before the deployed model and its twin alike."""
        del context
        return robench.System(
            JpegDeployed(system.deployed, self.quality), jpeg_twin(system.twin, self.quality)
        )


class JpegDeployed:
    """A deployed model behind JPEG compression."""

    def __init__(self, inner: robench.Deployed, quality: int) -> None:
        self.inner = inner
        self.quality = quality
        self.randomised = inner.randomised
        if hasattr(inner, "logits"):
            self.logits = lambda images: inner.logits(compress(images, quality))

    def predict(self, images: Tensor) -> Tensor:
        """Labels of the compressed images."""
        return self.inner.predict(compress(images, self.quality))

    def nbytes(self) -> int:
        """The model's own; JPEG is part of every platform."""
        return self.inner.nbytes()

    def save(self, folder: Path) -> None:
        """Write the model and the quality that belongs to it."""
        self.inner.save(folder)
        (folder / "jpeg.txt").write_text(f"quality {self.quality}\n", encoding="utf-8")


def jpeg_twin(twin: nn.Module, quality: int) -> nn.Module:
    """The twin behind JPEG: compressed images forward, the identity's gradient backward."""
    from torch import nn

    class Twin(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = twin

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            change = (compress(images, quality) - images).detach()
            logits: torch.Tensor = self.inner(images + change)
            return logits

    return Twin().eval()


def compress(images: Tensor, quality: int) -> Tensor:
    """Images through JPEG and back: float32 in [0,1], shape (N, 1 or 3, H, W)."""
    import numpy as np
    import torch

    if len(images) == 0:
        return images
    pixels = (images.detach().cpu() * 255).round().byte().permute(0, 2, 3, 1).numpy()
    found = np.stack([_one(image, quality) for image in pixels])
    return torch.from_numpy(found).permute(0, 3, 1, 2).float().to(images.device) / 255


def _one(image: object, quality: int) -> object:
    import numpy as np
    from PIL import Image

    pixels = np.asarray(image)
    grey = pixels.shape[2] == 1
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if grey else pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file)).reshape(pixels.shape)
