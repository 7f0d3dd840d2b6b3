"""Does random search alone beat the usual attack?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from robench.audit.checks.queries import square
from robench.audit.verdict import difference
from robench.core.record import Finding
from robench.plugin.components import Check
from robench.plugin.trial import Trial


@dataclass(frozen=True, kw_only=True)
class BlackBox(Check):
    """Square against all gradient searches on the same images."""

    images: int = 100
    """Images tried, the first that are right clean."""
    queries: int = 50
    """Queries of each image, for each pixel of its longer side."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """The accuracy that gradient searches leave minus the one that Square leaves."""
        index = trial.reference.index[: self.images]
        if len(index) == 0:
            return
        before = trial.held[index]
        broken = square(trial, index, self.queries * max(trial.images.shape[-2:]))
        yield difference(
            "black_box",
            before,
            ~broken,
            suspect=0.02,
            fail=0.05,
        )
