"""Does another model's gradient beat the twin's own?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from robench.audit.trial import REFERENCE, Trial
from robench.audit.verdict import share
from robench.components import Check
from robench.record import Finding


@dataclass(frozen=True, kw_only=True)
class TransferIn(Check):
    """Examples made on other models, such as the float parent, on images that still hold."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """Counts, for each source, images that hold in white-box and not in transfer."""
        search = replace(REFERENCE, loss="margin")
        for name, make in trial.sources.items():
            index = trial.left
            found = trial.search(name, make(), search, index)
            yield share(
                f"transfer_{name}",
                trial.attempt(name, found, index),
                len(trial),
                f"examples made on the {name} break {{share}} of {{n}} images that white-box "
                "attacks leave right",
                suspect=0.03,
                fail=0.1,
            )
