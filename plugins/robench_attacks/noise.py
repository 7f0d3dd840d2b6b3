"""Random noise: no search, no projection, and never part of a worst case."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from robench import Attack, ConfigError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from robench import Threat


@dataclass(frozen=True, kw_only=True)
class _Noise(Attack):
    """Adds noise of the size `eps`; ART has no such attack."""

    search: ClassVar[Literal["ball", "minimal", "noise"]] = "noise"
    queries_only: ClassVar[bool] = True

    @abstractmethod
    def draw(self, shape: tuple[int, ...], size: float, rng: torch.Generator) -> Tensor:
        """Noise of a shape and size, in [0,1] pixel units."""

    def run(
        self, twin: nn.Module, images: Tensor, labels: Tensor, threat: Threat, rng: torch.Generator
    ) -> Tensor:
        """Add noise and clip to [0,1]; raises ConfigError without a size."""
        if threat.eps is None:
            raise ConfigError("expected eps (the size of the noise), got none; set eps")
        noise = self.draw(tuple(images.shape), threat.eps, rng)
        return (images + noise.to(images.device)).clamp(0, 1)


@dataclass(frozen=True, kw_only=True)
class NormalNoise(_Noise):
    """Gaussian noise; eps is its standard deviation in [0,1] pixels."""

    def draw(self, shape: tuple[int, ...], size: float, rng: torch.Generator) -> Tensor:
        """Independent normal noise of standard deviation `size`."""
        import torch

        return torch.randn(shape, generator=rng) * size


@dataclass(frozen=True, kw_only=True)
class UniformNoise(_Noise):
    """Uniform noise; eps is its half-width in [0,1] pixels."""

    def draw(self, shape: tuple[int, ...], size: float, rng: torch.Generator) -> Tensor:
        """Independent noise, uniform within `size` either way."""
        import torch

        return (torch.rand(shape, generator=rng) * 2 - 1) * size
