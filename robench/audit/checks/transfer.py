"""Does another model's gradient beat the twin's own?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from robench.audit.checks.losses import tried_loss
from robench.audit.contest import contest, next_to_nothing, remember
from robench.core.record import Finding
from robench.plugin.components import Check
from robench.plugin.trial import Trial

SURROGATE = "plainly trained surrogate"
"""The source that is trained for the audit."""


def form_of(source: str) -> str:
    """A source's name among the modules that did better than the twin's own gradient."""
    return f"the {source}"


@dataclass(frozen=True, kw_only=True)
class TransferIn(Check):
    """Examples made on other models, such as the float parent, judged on this system."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """For each source the accuracy that white-box attacks leave minus the transfer's.

        A thrifty audit does not ask where next to nothing is left.
        """
        for name, make in trial.sources.items():
            # Where the twin's own gradients are sound, a network of other weights adds nothing.
            idle = next_to_nothing(trial) or (name == SURROGATE and trial.sound)
            if trial.thrifty and idle:
                continue
            source, before = make(), trial.held.clone()
            yield contest(
                trial,
                "transfer",
                name,
                partial(trial.search, name, source, trial.ascent(tried_loss(trial))),
                source=name,
            )
            remember(trial, name, form_of(name), source, before)
