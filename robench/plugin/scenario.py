"""One attack under one access and threat, and the adversarial examples that it made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from robench.core.pixels import floats
from robench.core.threat import Threat

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from robench.core.record import MadeOn

Search = Literal["ball", "minimal", "noise"]
"""`ball`: stays within eps. `minimal`: seeks the nearest error, eps are the budgets at which
accuracy is given. `noise`: random, not projected, never part of the worst case."""


@dataclass(frozen=True)
class Scenario:
    """One attack under one access and threat: a row of the result table."""

    attack: str
    """The attack's choice, as the configuration names it."""
    search: Search
    access: str
    threat: Threat
    """Its eps is the ball's size, the noise's strength, or None for a minimum-norm attack."""
    budgets: tuple[float, ...] = ()
    """Eps at which a minimum-norm attack's accuracy is given, in [0,1] pixels."""


@dataclass(frozen=True)
class AdversarialExamples:
    """What one scenario made of the judged images, brought into its threat model."""

    hash: str
    """SHA-256 of the pixels, 16 hexadecimal digits."""
    stored: Tensor
    """Shape (N, C, H, W): uint8 where they lie on the 8-bit grid, else float32 in [0,1]. Read from
    their file when they are looked at."""
    seconds: float
    """How long they took when they were made."""
    made_on: MadeOn | None = None
    """The machine that made them; None for the clean images."""
    gradients: float | None = None
    """Gradients of the twin that the search asked for, mean an image; None: not counted."""
    queries: float | None = None
    """Answers of the twin and of the deployed model, mean an image."""
    by: Tensor | None = None
    """Of each image which twin's candidate it is: 0 the faithful one's, then the others' in their
    order; uint8 (N,). None where the system has one twin."""

    @property
    def images(self) -> Tensor:
        """All of them at once: float32 in [0,1], shape (N, C, H, W)."""
        return floats(self.stored)

    def take(self, index: Tensor | NDArray[np.int64] | slice) -> Tensor:
        """Those at `index` (int64), or of a run: float32 in [0,1]."""
        return floats(self.stored[index])
