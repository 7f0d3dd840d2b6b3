"""Certifiers as components: options here, tables and decisions in `robench.smoothing`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import robench

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from robench.smoothing import Certificates, VoteSource


@dataclass(frozen=True, kw_only=True)
class _Smoothing(robench.Certifier):
    """What the three share: draws to select a label, and the formula of the radius."""

    n1: int = 100
    """Draws that select the label."""
    radius: str = "exact"
    """The radius of a number of votes: exact, lifted or renyi."""

    def __post_init__(self) -> None:
        try:
            self.rule()
        except robench.UserError as error:
            raise robench.ConfigError(str(error)) from error

    @abstractmethod
    def rule(self) -> Any:
        """The certifier of `robench.smoothing` that has these options."""

    def certify(
        self, votes: VoteSource, images: NDArray[np.int64], radii: Sequence[float]
    ) -> Certificates:
        """Certify images at these radii, integers only."""
        certificates: Certificates = self.rule().certify(votes, images, radii)
        return certificates


@dataclass(frozen=True, kw_only=True)
class Cohen(_Smoothing):
    """Algorithm 1 of Cohen et al. (2019): a fixed number of draws for every image."""

    sources: ClassVar[Mapping[str, str]] = {
        "paper": "https://arxiv.org/abs/1902.02918",
        "code": "https://github.com/locuslab/smoothing",
    }

    n2: int = 100_000
    """Draws that are counted."""

    def rule(self) -> Any:
        """See robench.smoothing.Cohen."""
        from robench.smoothing import Cohen as Rule

        return Rule(**asdict(self))


@dataclass(frozen=True, kw_only=True)
class Sequential(_Smoothing):
    """An anytime-valid test: as few draws as each image needs to meet a list of radii."""

    version: ClassVar[str] = "2"

    n2: int = 100_000
    """Draws that are counted, at most; an image stops once its next radius is out of reach."""

    def rule(self) -> Any:
        """See robench.smoothing.Sequential."""
        from robench.smoothing import Sequential as Rule

        return Rule(**asdict(self))


@dataclass(frozen=True, kw_only=True)
class Adaptive(_Smoothing):
    """Stages of fresh draws with a Bonferroni correction (Horvath et al., ICLR 2022)."""

    sources: ClassVar[Mapping[str, str]] = {
        "paper": "https://arxiv.org/abs/2106.06946",
        "code": "https://github.com/eth-sri/smoothing-ensembles",
    }

    version: ClassVar[str] = "2"

    stages: list[int] = field(default_factory=lambda: [1_000, 10_000, 100_000])
    """Draws of each stage, increasing."""

    def rule(self) -> Any:
        """See robench.smoothing.Adaptive."""
        from robench.smoothing import Adaptive as Rule

        return Rule(**asdict(self))
