"""What a check of the audit sees: one system under one threat, and all that was tried on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from robench.core.record import Finding
    from robench.core.system import System
    from robench.core.threat import Threat
    from robench.search import Callback, GradientSearch
    from robench.search.target import Target


class Attacker(Protocol):
    """An attack of the run, as `robench.Attack`."""

    def run(
        self, twin: nn.Module, images: Tensor, labels: Tensor, threat: Threat, rng: torch.Generator
    ) -> Tensor:
        """Search candidates for float32 images in [0,1], shape (N, C, H, W): the same shape."""
        ...

    def run_judged(
        self, target: Target, images: Tensor, labels: Tensor, threat: Threat, rng: torch.Generator
    ) -> Tensor:
        """As `run`, with the deployed model's word on what the search found."""
        ...


@dataclass(frozen=True)
class Reference:
    """The usual attack on the M images that are right clean, and what it showed."""

    index: Tensor
    """Which images: int64 (M,)."""
    candidates: Tensor
    """Legal candidates: float32 in [0,1], shape (M, C, H, W)."""
    wrong: Tensor
    """Whether the deployed model gets them wrong: bool (M,)."""
    losses: Tensor
    """Cross-entropy at each iterate, the start first: (steps + 1, M)."""
    margins: Tensor
    """Largest wrong logit minus the label's at each iterate: (steps + 1, M)."""
    zero: Tensor
    """Share of pixels whose gradient was exactly 0, in [0,1]: (steps, M)."""
    nonfinite: Tensor
    """Share of pixels whose gradient was NaN or infinite, in [0,1]: (steps, M)."""


class Trial(Protocol):
    """A system under a threat, judged on N images, for checks that try candidates on it.

    Images are float32 in [0,1], shape (N, C, H, W), on the CPU; labels int64 (N,). Only images
    that are right clean are attacked.
    """

    system: System
    images: Tensor
    labels: Tensor
    threat: Threat
    seed: int
    sources: Mapping[str, Callable[[], nn.Module]]
    """Other models of the same task, made when asked for; their examples are tried."""
    attacks: Mapping[str, Attacker]
    """In a full audit, the run's own white-box attacks under this threat."""
    adaptive: Mapping[str, Attacker]
    """In a full audit, attacks that the system's defenses bring against themselves, by defense."""
    steps: int
    """The budget of every gradient search, in steps."""
    thrifty: bool
    """Whether a search that breaks next to nothing may stop early."""
    randomised: bool
    """Whether the deployed model answers the same images differently."""
    unstable: Tensor
    """Images whose answer differed between two calls: bool (N,)."""
    clean: Tensor
    """Right clean: bool (N,)."""
    held: Tensor
    """Right clean and after everything tried so far: bool (N,)."""
    tried: dict[str, Tensor]
    """By what was tried, the images that it broke: bool (N,)."""
    alone: dict[str, Tensor]
    """By gradient search that met every image, those right clean and under it alone: bool (N,)."""
    forms: dict[str, nn.Module]
    """Other modules whose gradient broke what the twin's own did not, by name."""
    findings: list[Finding]
    """What earlier checks found."""

    def __len__(self) -> int:
        """N."""
        ...

    @property
    def eps(self) -> float:
        """Size of the ball in [0,1] pixels."""
        ...

    @property
    def left(self) -> Tensor:
        """Indices of the images that still hold: int64."""
        ...

    @property
    def reference(self) -> Reference:
        """The usual attack, run when first asked for."""
        ...

    @property
    def usual(self) -> GradientSearch:
        """The usual attack, PGD on cross-entropy: a system is masked when it fails in vain."""
        ...

    def ascent(self, loss: str = "margin") -> GradientSearch:
        """A search that differs from the usual attack in its loss, and minds randomness."""
        ...

    def search(
        self,
        name: str,
        twin: nn.Module,
        search: GradientSearch,
        index: Tensor,
        threat: Threat | None = None,
        callback: Callback | None = None,
    ) -> Tensor:
        """Legal candidates for the images at `index`, searched on any module.

        `name` seeds the random start; without `threat` it is the audit's.
        """
        ...

    @property
    def sound(self) -> bool:
        """Whether the gradients are sound by all that earlier checks found."""
        ...

    @property
    def smoother(self) -> nn.Module | None:
        """The twin with its gradient led through what stops it; None where nothing does."""
        ...

    def strongest(self, name: str, twin: nn.Module) -> None:
        """Run the strongest search on a module, on the images that still hold, and judge it."""
        ...

    def attempt(self, name: str, candidates: Tensor, index: Tensor) -> Tensor:
        """Let the deployed model judge legal candidates for the images at `index`.

        Returns which it gets wrong, bool of the shape of `index`, and keeps them under `name`:
        they count towards the audited accuracy.
        """
        ...

    def wrong(self, candidates: Tensor, index: Tensor) -> Tensor:
        """Which candidates for the images at `index` the deployed model gets wrong.

        Nothing is kept, so the candidates may lie outside the ball.
        """
        ...
