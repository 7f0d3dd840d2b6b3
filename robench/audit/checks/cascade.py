"""How much do the strongest searches break of what still holds?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from robench.audit.verdict import share_finding
from robench.core.record import Finding
from robench.plugin.components import Check
from robench.plugin.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Cascade(Check):
    """The `strongest` cascade, which tells how much holds, where the other checks tell why."""

    forms: bool = False
    """Whether it also runs on the forms of the twin that beat the twin's own gradient: a gradient
    that misled once is not believed twice."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """Counts images that it breaks and nothing before did; they speak against no system."""
        before = trial.held.clone()
        twins = {"the twin": trial.system.twin, **(trial.forms if self.forms else {})}
        for name, twin in twins.items():
            trial.strongest(f"strongest on {name}", twin)
        yield share_finding(
            "strongest",
            before & ~trial.held,
            len(trial),
            f"the strongest search, on {', '.join(twins)}, breaks {{share}} of {{n}} images that "
            "held before",
            suspect=1.0,
        )
