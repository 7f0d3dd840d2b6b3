"""Random flips and crops of a batch, drawn from an explicit generator.

Torchvision's transforms draw one crop for a whole batch, from the global generator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor

    from robench.training.recipe import Recipe


def augment(images: Tensor, recipe: Recipe, rng: torch.Generator) -> Tensor:
    """Flip and shift float images (N, C, H, W) as the recipe says; same shape."""
    if recipe.crop:
        images = crop(images, recipe.crop, recipe.pad, rng)
    if recipe.flip:
        chosen = torch.rand(len(images), generator=rng) < 0.5
        mirrored = images.flip(3)
        images = torch.where(chosen.view(-1, 1, 1, 1).to(images.device), mirrored, images)
    return images


def crop(images: Tensor, by: int, pad: str, rng: torch.Generator) -> Tensor:
    """Shift each image by up to `by` pixels in each direction, the border padded."""
    count, _, height, width = images.shape
    padded = F.pad(images, (by,) * 4, mode="constant" if pad == "zero" else "reflect")
    offset = torch.randint(0, 2 * by + 1, (2, count, 1), generator=rng)
    rows = (offset[0] + torch.arange(height)).to(images.device)
    columns = (offset[1] + torch.arange(width)).to(images.device)
    image = torch.arange(count, device=images.device)
    # Indexing N, H, W at once leaves the channels last.
    picked = padded.permute(0, 2, 3, 1)[image[:, None, None], rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2)
