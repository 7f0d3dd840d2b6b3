"""The options of feedback learning, and what they say of classes and quotas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Optional

from robench import Defense, check_norm, parse_eps, require, require_positive


@dataclass(frozen=True, kw_only=True)
class FeedbackOptions(Defense):
    """How many images, in which directions, how far: what every round reads."""

    sources: ClassVar[Mapping[str, str]] = {"paper": "https://arxiv.org/abs/2012.14965"}

    rounds: int = 12
    """Rounds after the plain training."""
    epochs: int = 1
    """Times each round goes over its images."""
    batch: int = 32
    """Images whose examples make one training step."""
    high_share: float = 0.2
    """Share of the classes, the most robust ones, that form the high level."""
    low_share: float = 0.5
    """Share of the classes, the least robust ones, that form the low level."""
    high_images: int = 20
    """Images taken of each class of the high level."""
    medium_images: int = 100
    """Images taken of each other class."""
    low_images: int = 150
    """Images taken of each class of the low level."""
    directions: int = 40
    """Directions of smallest margin that give an example each, for each image."""
    factor_low: float = 1.5
    """Least distance of an example, in margins."""
    factor_high: float = 2.0
    """Largest distance of an example, in margins."""
    norm: Optional[str] = None
    """Norm in which directions have length 1: linf or l2; none given: the data set's."""
    limit: Any = None
    """How far margins are followed and examples moved, in [0,1] pixels as an eps; none given: the
    usual eps. In trials on MNIST, examples moved farther halved what is left under PGD."""
    random_directions: int = 0
    """Random orthonormal directions tried for each image."""
    targets: int = 2
    """Other classes, the likeliest first, towards which gradient directions are tried."""
    gradient_steps: int = 4
    """Steps of the path towards a class, whose end gives the direction; 1 is the gradient. In
    trials with one step, PGD went on to find what the margins did not."""
    control: bool = False
    """Put random noise of the same size in place of the directions: what the same number of
    examples gives without feedback."""

    def __post_init__(self) -> None:
        check_norm(self.norm)
        parsed = parse_eps(self.limit)
        single = parsed is None or (len(parsed) == 1 and parsed[0] != 0)
        require(single, f"expected one limit > 0, got {self.limit!r}")
        require_positive(
            epochs=self.epochs,
            batch=self.batch,
            high_images=self.high_images,
            medium_images=self.medium_images,
            low_images=self.low_images,
            directions=self.directions,
            gradient_steps=self.gradient_steps,
            factor_low=self.factor_low,
        )
        require(
            self.factor_low <= self.factor_high,
            f"expected factor_high >= factor_low = {self.factor_low}, got {self.factor_high}",
        )
        require(self.rounds >= 0, f"expected rounds >= 0, got {self.rounds}")
        shares = (self.high_share, self.low_share)
        require(
            min(shares) >= 0 and sum(shares) <= 1,
            f"expected high_share and low_share >= 0, together at most 1, got {shares}",
        )
        banks = (self.random_directions, self.targets)
        require(
            min(banks) >= 0 and max(banks) > 0,
            f"expected random_directions or targets to give a direction, got {banks}",
        )

    @property
    def smallest_quota(self) -> int:
        """Images of each class by which the classes are ranked."""
        return min(self.high_images, self.medium_images, self.low_images)

    @property
    def largest_quota(self) -> int:
        """Images of a class that a round examines at most."""
        return max(self.high_images, self.medium_images, self.low_images)

    @property
    def bank(self) -> int:
        """Directions tried for each image, at most."""
        return self.targets + self.random_directions

    def quota(self, level: str) -> int:
        """Images taken of each class of a level."""
        return {"high": self.high_images, "medium": self.medium_images, "low": self.low_images}[
            level
        ]

    def levels(self, margins: list[float]) -> list[str]:
        """The level of each class from its mean margin: high, medium or low."""
        count = len(margins)
        order = sorted(range(count), key=lambda c: margins[c])
        low, high = int(self.low_share * count), int(self.high_share * count)
        found = ["medium"] * count
        for place, label in enumerate(order):
            if place < low:
                found[label] = "low"
            elif place >= count - high:
                found[label] = "high"
        return found
