"""Square attack: random search on scores alone, no gradients."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from robench.base.errors import ConfigError
from robench.core.threat import Threat
from robench.search.losses import margin

Scores = Callable[[Tensor], Tensor]
"""Images (N, C, H, W) -> scores (N, classes): logits, probabilities or votes."""

Size = float | Tensor
"""Eps: a number, or one of each image, (N, 1, 1, 1)."""

# Andriushchenko et al. (2020), section 3.2: queries out of 10,000 at which squares shrink by half.
HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


@dataclass(frozen=True, kw_only=True)
class SquareSearch:
    """Square attack (Andriushchenko et al., 2020): squares at random places, kept if they help.

    Raises ConfigError for options out of range.
    """

    queries: int
    """Evaluations of each image at most, the two before the search included."""
    share: float = 0.8
    """Share of the pixels in the first squares."""
    ties: bool = False
    """Keep squares that change no score too: on rounded scores the search stands still without."""

    def __post_init__(self) -> None:
        if self.queries < 2:
            raise ConfigError(f"expected queries >= 2, got {self.queries}")
        if not 0 < self.share <= 1:
            raise ConfigError(f"expected share in (0, 1], got {self.share}")

    def run(
        self,
        scores: Scores,
        images: Tensor,
        labels: Tensor,
        threat: Threat,
        rng: torch.Generator,
        radii: Tensor | None = None,
    ) -> Tensor:
        """Search candidates for float32 images in [0,1]; `rng` is a CPU generator.

        `radii` (N, 1, 1, 1) give each image an eps of its own, in place of the threat's.

        Every candidate asked about is legal under the threat, its grid included, so what is
        returned is what was judged. An image stops at the first candidate that `scores` gets wrong.
        """
        if threat.eps is None:
            raise ConfigError("expected a threat with eps, got none; give the attack one")
        propose = _linf_square if threat.norm == "linf" else _l2_square
        start = _stripes if threat.norm == "linf" else _tiles
        with torch.no_grad():
            found, score = images.clone(), _margin(scores, images, labels)
            for query in range(1, self.queries):
                left = (score <= 0).nonzero()[:, 0]
                if len(left) == 0:
                    break
                clean, held = images[left], found[left]
                side = self._side(query, images.shape[-2:])
                own = None if radii is None else radii[left]
                eps: Size = threat.eps if own is None else own
                new = start(clean, eps, rng) if query == 1 else held
                if query > 1:
                    new = propose(clean, held, eps, side, rng)
                new = threat.project(new, clean, own)
                rescore = _margin(scores, new, labels[left])
                better = rescore >= score[left] if self.ties else rescore > score[left]
                found[left[better]] = new[better]
                score[left[better]] = rescore[better]
        return found

    def _side(self, query: int, size: torch.Size) -> int:
        done = int((query - 2) / self.queries * 10_000)
        share = self.share / 2 ** bisect_right(HALVINGS, done)
        side: int = max(round(math.sqrt(share * size[0] * size[1])), 1)
        return min(side, int(size[0]), int(size[1]))


def _margin(scores: Scores, images: Tensor, labels: Tensor) -> Tensor:
    # A classifier that answers NaN is not counted as fooled.
    return margin(scores(images), labels).nan_to_num(nan=-torch.inf)


def _signs(shape: tuple[int, ...], rng: torch.Generator, like: Tensor) -> Tensor:
    signs = torch.randint(2, shape, generator=rng) * 2 - 1
    return signs.to(device=like.device, dtype=like.dtype)


def _window(images: Tensor, side: int, rng: torch.Generator) -> tuple[Tensor, ...]:
    """Indices of one square a image, placed at random: use as `images[window]`."""
    count, channels, height, width = images.shape
    span = torch.arange(side)
    top = torch.randint(height - side + 1, (count, 1), generator=rng) + span
    left = torch.randint(width - side + 1, (count, 1), generator=rng) + span
    index = (
        torch.arange(count).view(-1, 1, 1, 1),
        torch.arange(channels).view(1, -1, 1, 1),
        top.view(count, 1, side, 1),
        left.view(count, 1, 1, side),
    )
    return tuple(part.to(images.device) for part in index)


def _stripes(clean: Tensor, eps: Size, rng: torch.Generator) -> Tensor:
    """Vertical stripes of eps up or down, per channel (section 3.3)."""
    count, channels, _, width = clean.shape
    return clean + eps * _signs((count, channels, 1, width), rng, clean)


def _linf_square(clean: Tensor, held: Tensor, eps: Size, side: int, rng: torch.Generator) -> Tensor:
    """One square of eps up or down, per channel (algorithm 2)."""
    window = _window(clean, side, rng)
    new = held.clone()
    new[window] = clean[window] + eps * _signs((*clean.shape[:2], 1, 1), rng, clean)
    return new


def _tiles(clean: Tensor, eps: Size, rng: torch.Generator) -> Tensor:
    """A grid of 5 x 5 bumps that together have length eps (section 3.4)."""
    count, channels, height, width = clean.shape
    side = max(min(height, width) // 5, 1)
    bump = _bump(side, clean, rng)
    delta = torch.zeros_like(clean)
    for top in range(0, height - side + 1, side):
        for left in range(0, width - side + 1, side):
            signs = _signs((count, channels, 1, 1), rng, clean)
            delta[:, :, top : top + side, left : left + side] = bump * signs
    return clean + eps * delta / _length(delta, (1, 2, 3))


def _l2_square(clean: Tensor, held: Tensor, eps: Size, side: int, rng: torch.Generator) -> Tensor:
    """Move the length of one window, and what is unused, to a bump in another (algorithm 3)."""
    side = min(max(side, 3) | 1, *clean.shape[-2:])
    delta = held - clean
    here, there = _window(clean, side, rng), _window(clean, side, rng)
    unused = (eps**2 - delta.square().sum((1, 2, 3), keepdim=True)).clamp_min(0)
    both = torch.zeros_like(delta)
    both[here] = delta[here]
    both[there] = delta[there]
    budget = unused / clean.shape[1] + both.square().sum((2, 3), keepdim=True)
    bump = _bump(side, clean, rng) * _signs((*clean.shape[:2], 1, 1), rng, clean)
    bump = bump + delta[here] / _length(delta[here], (2, 3))
    new = bump / _length(bump, (2, 3)) * budget.sqrt()
    delta[there] = 0
    delta[here] = new
    return clean + eps * delta / _length(delta, (1, 2, 3))


def _length(delta: Tensor, dims: tuple[int, ...]) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(delta, dim=dims, keepdim=True)
    return length.clamp_min(1e-12)


def _bump(side: int, like: Tensor, rng: torch.Generator) -> Tensor:
    """Two opposite pyramids side by side or one above the other: (side, side), length 1."""
    half = side // 2
    bump = torch.zeros(side, side)
    bump[:half] = _pyramid(half, side)
    bump[half:] = -_pyramid(side - half, side)
    bump /= bump.norm().clamp_min(1e-12)
    turned = bump.T if int(torch.randint(2, (), generator=rng)) else bump
    return turned.to(device=like.device, dtype=like.dtype)


def _pyramid(height: int, width: int) -> Tensor:
    """Nested rectangles around the centre, ring k adding 1/k^2 (section 3.4)."""
    pyramid = torch.zeros(height, width)
    middle, centre = height // 2, width // 2
    for ring in range(max(middle, centre) + 1):
        rows = slice(max(middle - ring, 0), middle + ring + 1)
        columns = slice(max(centre - ring, 0), centre + ring + 1)
        pyramid[rows, columns] += 1 / (ring + 1) ** 2
    pyramid /= pyramid.norm().clamp_min(1e-12)
    return pyramid
