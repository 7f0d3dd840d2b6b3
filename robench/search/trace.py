"""A ready callback: what a search's steps showed, per image."""

from __future__ import annotations

import torch
from torch import Tensor

from robench.search.ascent import StepInfo


class Trace:
    """Collects the first restart's losses, margins and gradient faults; pass it as `callback`."""

    def __init__(self) -> None:
        self._losses: list[Tensor] = []
        self._margins: list[Tensor] = []
        self._zero: list[Tensor] = []
        self._nonfinite: list[Tensor] = []

    def __call__(self, info: StepInfo) -> None:
        """Take in one step."""
        if info.restart:
            return
        self._losses.append(info.loss.cpu())
        self._margins.append(info.margin.cpu())
        if info.gradient is None:
            return
        gradient = info.gradient.flatten(1)
        self._zero.append((gradient == 0).float().mean(1).cpu())
        self._nonfinite.append((~gradient.isfinite()).float().mean(1).cpu())

    @property
    def losses(self) -> Tensor:
        """Loss at each iterate: shape (steps + 1, N), the start first."""
        return torch.stack(self._losses)

    @property
    def margins(self) -> Tensor:
        """Margin at each iterate, above 0 where the twin is wrong: shape (steps + 1, N)."""
        return torch.stack(self._margins)

    @property
    def zero_gradients(self) -> Tensor:
        """Share of pixels whose gradient is exactly 0, in [0,1]: shape (steps, N)."""
        return torch.stack(self._zero)

    @property
    def nonfinite_gradients(self) -> Tensor:
        """Share of pixels whose gradient is NaN or infinite, in [0,1]: shape (steps, N)."""
        return torch.stack(self._nonfinite)
