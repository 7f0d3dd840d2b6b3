"""Margins along directions: how far an image may move before its label changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from robench import forward

if TYPE_CHECKING:
    from torch import Tensor, nn

BATCH = 500
"""Moved images given to the network at once."""


def margins(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    directions: Tensor,
    limit: float,
    brackets: int = 3,
    bisections: int = 2,
) -> Tensor:
    """Distance to the first label change along each direction: float32 (N, D), at most `limit`.

    `images` are float32 in [0,1], shape (N, C, H, W); `directions` have shape (N, D, C, H, W), and
    distances count in their lengths. Moved images are clipped to [0,1]. The interval (0, limit] is
    walked in `brackets` equal parts up to the first wrong label, which is then bisected. An image
    that is wrong from the start has margin 0; a direction without a wrong label has margin inf.
    """
    count, bank = directions.shape[:2]
    image = torch.arange(count).repeat_interleave(bank)
    flat = directions.flatten(0, 1)

    def wrong(index: Tensor, distance: Tensor) -> Tensor:
        moved = move(images[image[index]], flat[index], distance)
        return forward(model, moved, BATCH).argmax(1) != labels[image[index]]

    far = torch.full((count * bank,), float("inf"))
    right = forward(model, images, BATCH).argmax(1) == labels
    far[~right[image]] = 0.0
    left = right[image].nonzero()[:, 0]
    for step in range(1, brackets + 1):
        crossed = wrong(left, torch.full((len(left),), limit * step / brackets))
        far[left[crossed]] = limit * step / brackets
        left = left[~crossed]
    found = (far.isfinite() & (far > 0)).nonzero()[:, 0]
    far[found] = _bisect(lambda at: wrong(found, at), far[found], limit / brackets, bisections)
    return far.view(count, bank)


def move(images: Tensor, directions: Tensor, distance: Tensor) -> Tensor:
    """Images (N, C, H, W) moved along their directions by distances (N,), clipped to [0,1]."""
    return (images + distance.view(-1, 1, 1, 1) * directions).clamp_(0, 1)


def _bisect(
    wrong: Callable[[Tensor], Tensor], high: Tensor, width: float, bisections: int
) -> Tensor:
    """Halve the intervals (high - width, high] around a label change; returns their wrong ends."""
    low = high - width
    for _ in range(bisections):
        middle = (low + high) / 2
        crossed = wrong(middle)
        high, low = torch.where(crossed, middle, high), torch.where(crossed, low, middle)
    return high
