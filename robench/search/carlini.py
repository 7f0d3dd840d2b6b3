"""Carlini & Wagner's search for the nearest adversarial example in L2."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robench.errors import ConfigError
from robench.search.gradient import finite, searching, slope
from robench.search.losses import margin
from robench.threat import Threat


@dataclass(frozen=True, kw_only=True)
class CarliniSearch:
    """Minimise distance^2 + c * max(-margin, 0) over candidates, c searched for per image.

    Carlini & Wagner (2017), section VI-A. Raises ConfigError for options out of range.
    """

    search_steps: int
    steps: int
    learning_rate: float
    initial_const: float

    def __post_init__(self) -> None:
        for name in ("search_steps", "steps", "learning_rate", "initial_const"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"expected {name} > 0, got {getattr(self, name)}")

    def run(self, twin: nn.Module, images: Tensor, labels: Tensor, threat: Threat) -> Tensor:
        """Search the nearest candidates that the twin gets wrong; else the clean images."""
        images = images.contiguous(memory_format=torch.channels_last)
        best, dist = images.clone(), torch.full((len(images),), torch.inf)
        const = torch.full((len(images),), self.initial_const)
        low, high = torch.zeros_like(const), torch.full_like(const, torch.inf)
        with searching(twin):
            for _ in range(self.search_steps):
                w = torch.atanh((images * 2 - 1) * 0.999999)
                m, v = torch.zeros_like(w), torch.zeros_like(w)
                broken = torch.zeros(len(images), dtype=torch.bool)
                for i in range(1, self.steps + 1):
                    x = (w.tanh() / 0.999999 + 1) / 2
                    x = threat.project(x, images) if threat.grid else x
                    here = slope(twin, x, labels, margin)
                    d = (x - images).square().sum((1, 2, 3))
                    won = here.margin > 0
                    broken |= won
                    won &= d < dist
                    dist = torch.where(won, d, dist)
                    best = torch.where(won[:, None, None, None], x, best)
                    pull = (const * (here.margin <= 0))[:, None, None, None]
                    g = 2 * (x - images) - pull * finite(here.gradient)  # type: ignore[arg-type]
                    g = g * (1 - w.tanh().square()) / 2
                    m = 0.9 * m + 0.1 * g
                    v = 0.999 * v + 0.001 * g * g
                    w = w - self.learning_rate * (m / (1 - 0.9**i)) / (
                        (v / (1 - 0.999**i)).sqrt() + 1e-8
                    )
                high = torch.where(broken, torch.minimum(high, const), high)
                low = torch.where(broken, low, torch.maximum(low, const))
                const = torch.where(high.isinf(), const * 10, (low + high) / 2)
        return best.contiguous()
