"""Threat models: what an attacker may change, and how candidates are brought back into it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Optional

from robench.base.errors import ConfigError
from robench.base.text import suggestion

if TYPE_CHECKING:
    from torch import Tensor

NORMS = ("linf", "l2")
EPS_LEVELS = ("weak", "medium", "strong")

LEVELS = 255
"""Steps of an 8-bit pixel."""
# Float32 cannot hold most multiples of 1/255, so a ball's edge is compared with this slack.
TOLERANCE = 1e-6


@dataclass(frozen=True)
class UsualThreat:
    """What attackers of a data set are usually allowed: the first norm is its usual one.

    `levels` maps a norm to its eps (weak, medium, strong) in [0,1] pixel units; the usual eps is
    the strong one. `noise` is the standard deviation (or half-width) of noise rows, same units.
    """

    levels: Mapping[str, tuple[float, float, float]]
    noise: float

    def __post_init__(self) -> None:
        for name, levels in self.levels.items():
            if len(levels) != len(EPS_LEVELS) or not all(map(_is_size, levels)):
                raise ConfigError(
                    f"expected three finite eps of at least 0 for {name}, got {levels!r:.80}"
                )
        if not _is_size(self.noise):
            raise ConfigError(f"expected finite noise of at least 0, got {self.noise!r:.80}")

    @property
    def norm(self) -> str:
        """The usual norm."""
        return next(iter(self.levels))

    def eps(self, norm: str, level: str = "strong") -> float:
        """Eps of a named level in [0,1] pixel units; raises ConfigError for a norm not declared."""
        if norm not in self.levels:
            raise ConfigError(
                f"expected a number for eps: this data set declares no {norm} levels "
                f"(it has {', '.join(self.levels)}); set eps yourself"
            )
        return self.levels[norm][EPS_LEVELS.index(level)]


def _is_size(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and value >= 0


def _is_typed(value: Any) -> bool:
    """Whether a text would be a number, were it none."""
    try:
        return isinstance(value, str) and _is_size(float(Fraction(value)))
    except (ValueError, ZeroDivisionError, OverflowError):
        return False


@dataclass(frozen=True, kw_only=True)
class ThreatConfig:
    """The threat model that attacks inherit; an attack's own fields override it."""

    norm: Optional[str] = None
    """linf or l2; none given: the data set's usual norm."""
    eps: Any = None
    """Size of the ball in [0,1] pixels: 0.03, "8/255", weak, medium, strong, or a list of these."""
    grid: bool = True
    """Put examples on the 8-bit grid, rounding each pixel towards the clean image."""

    def __post_init__(self) -> None:
        check_norm(self.norm)
        parse_eps(self.eps)


@dataclass(frozen=True)
class Threat:
    """One threat model: candidates lie within `eps` of the clean image in `norm` ([0,1] units).

    `eps=None` bounds nothing but the pixel range (minimum-norm attacks and noise). Raises
    ConfigError for another norm, and for eps that is no finite number of at least 0.
    """

    norm: str
    eps: float | None
    grid: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.norm, str) or self.norm not in NORMS:
            raise ConfigError(
                f"expected norm to be one of {', '.join(NORMS)}, got {self.norm!r:.80}"
                + suggestion(str(self.norm), NORMS)
            )
        if self.eps is not None and not _is_size(self.eps):
            typed = f"; write {self.eps} without quotes" if _is_typed(self.eps) else ""
            raise ConfigError(
                "expected eps of a Threat to be a finite number of at least 0, in [0,1] pixels, "
                f"such as 8/255, got {self.eps!r:.80}{typed}"
            )
        if not isinstance(self.grid, bool):
            raise ConfigError(f"expected grid to be True or False, got {self.grid!r:.80}")

    def project(self, candidates: Tensor, images: Tensor, radii: Tensor | None = None) -> Tensor:
        """Bring candidates into the ball and the pixel range, then onto the 8-bit grid.

        Both are float32 in [0,1], shape (N, C, H, W); `radii` (N, 1, 1, 1) give each image an eps
        of its own. The L2 projection scales the perturbation
        (Euclidean), the Linf projection clips it. Rounding goes towards the clean image, so that
        it never leaves the ball; nearest rounding would.
        """
        delta, eps = candidates - images, self.eps if radii is None else radii
        if eps is not None:
            delta = project_ball(delta, self.norm, eps)
        inside = (images + delta).clamp(0.0, 1.0)
        return towards_grid(inside, images) if self.grid else inside

    def contains(self, candidates: Tensor, images: Tensor) -> Tensor:
        """Say per image whether the candidate lies in the threat model: bool, shape (N,)."""
        flat = candidates.flatten(1)
        legal = ((flat >= 0) & (flat <= 1)).all(1)
        if self.grid:
            scaled = flat * 255
            legal &= ((scaled - scaled.round()).abs() < 1e-3).all(1)
        if self.eps is not None:
            legal &= distance(candidates, images, self.norm) <= self.eps + TOLERANCE
        return legal


def project_ball(delta: Tensor, norm: str, eps: float | Tensor) -> Tensor:
    """Project perturbations of shape (N, ...) onto the eps ball of `norm` around zero.

    `eps` is a number, or one for each perturbation: shape (N, 1, ...).
    """
    if norm == "linf":
        return delta.clamp(-eps, eps)  # type: ignore[arg-type]  # torch types no union
    length = delta.flatten(1).norm(dim=1).view(-1, *[1] * (delta.dim() - 1))
    scale: Tensor = (eps / length.clamp_min(1e-12)).clamp_max(1.0)
    return delta * scale


def towards_grid(candidates: Tensor, images: Tensor) -> Tensor:
    """Round to multiples of 1/255, each pixel towards its clean value; [0,1] in and out.

    A clean image that lies on the grid itself stays inside every ball around it.
    """
    scaled, clean = candidates * 255, images * 255
    # The slack keeps a pixel that already lies on the grid from falling to its neighbour.
    down, up = (scaled + 1e-3).floor(), (scaled - 1e-3).ceil()
    return (down.where(scaled >= clean, up) / 255).clamp(0.0, 1.0)


def distance(candidates: Tensor, images: Tensor, norm: str) -> Tensor:
    """Distance per image in [0,1] pixel units: shape (N,), float32."""
    delta = (candidates - images).flatten(1)
    return delta.abs().amax(1) if norm == "linf" else delta.norm(dim=1)


def check_norm(norm: str | None, known: Sequence[str] = NORMS) -> None:
    """Raise ConfigError unless `norm` is known or not given."""
    if norm is not None and norm not in known:
        raise ConfigError(f"expected norm to be one of {', '.join(known)}, got {norm!r}")


def eps_text(eps: float) -> str:
    """An eps as people type it: 8/255 where it is one, 0.3 where a short decimal is all of it."""
    if float(f"{eps:.3g}") == eps:
        return f"{eps:g}"
    steps = eps * LEVELS
    for whole in (round(steps), round(2 * steps) / 2):
        if whole and abs(steps - whole) < TOLERANCE:
            return f"{whole:g}/{LEVELS}"
    return f"{eps:.4g}"


def parse_eps(value: Any) -> tuple[float | str, ...] | None:
    """Read an eps option: a number, "8/255", a level name, a list of these, or None.

    Returns numbers in [0,1] pixel units and level names. Raises ConfigError.
    """
    if value is None:
        return None
    items = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    if not items:
        raise ConfigError("expected eps to be a number or a list of numbers, got an empty list")
    return tuple(_parse_one(item) for item in items)


def _parse_one(item: Any) -> float | str:
    if isinstance(item, str) and item in EPS_LEVELS:
        return item
    try:
        number = float(Fraction(item)) if isinstance(item, str) else float(item)
    except (TypeError, ValueError, ZeroDivisionError):
        raise ConfigError(
            f'expected eps to be a number, a fraction such as "8/255" or one of '
            f"{', '.join(EPS_LEVELS)}, got {item!r}"
        ) from None
    if isinstance(item, bool) or not math.isfinite(number) or number < 0:
        raise ConfigError(
            f"expected eps to be a finite number above 0, got {item!r}; set it to, say, 8/255"
        )
    return number


def resolve_eps(value: Any, usual: UsualThreat, norm: str) -> tuple[float, ...]:
    """Turn a parsed or raw eps option into numbers, levels read from the data set."""
    parsed = parse_eps(value)
    if parsed is None:
        return (usual.eps(norm),)
    return tuple(usual.eps(norm, item) if isinstance(item, str) else item for item in parsed)
