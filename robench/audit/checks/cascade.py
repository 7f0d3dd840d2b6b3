"""How much does the strongest search break of what still holds?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import nn

from robench.audit.contest import failed
from robench.audit.verdict import share_finding
from robench.core.record import Finding
from robench.core.sentences import twin_form
from robench.plugin.components import Check
from robench.plugin.trial import Trial

FEW = 2
"""Images that are not worth a search."""


@dataclass(frozen=True, kw_only=True)
class Cascade(Check):
    """The `strongest` search tells how much holds, where the other checks tell why."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """Counts images that it breaks and nothing before did; they speak against no system.

        A thrifty audit leaves a randomised model alone, since this search averages every gradient,
        what has failed already, and what is next to nothing. It searches on those twins of a file,
        too, that did better than the faithful one.
        """
        if trial.thrifty and (trial.randomised or failed(trial) or len(trial.left) <= FEW):
            return
        modules = {"the twin": trial.system.twin}
        # A full audit searches on every other form, too.
        if trial.thrifty:
            forms = {twin_form(name) for name in trial.system.others}
            modules |= {name: form for name, form in trial.forms.items() if name in forms}
        yield _broken(trial, "strongest", modules)


@dataclass(frozen=True, kw_only=True)
class OtherForms(Check):
    """The same on every module whose gradient did better than the twin's own.

    A gradient that misled once is not believed twice.
    """

    def look(self, trial: Trial) -> Iterable[Finding]:
        """Counts images that it breaks and nothing before did."""
        if trial.forms:
            yield _broken(trial, "strongest_elsewhere", trial.forms)


def _broken(trial: Trial, check: str, modules: Mapping[str, nn.Module]) -> Finding:
    before = trial.held.clone()
    for name, module in modules.items():
        trial.strongest(f"strongest on {name}", module)
    return share_finding(
        check,
        before & ~trial.held,
        len(trial),
        suspect=1.0,
        forms=", ".join(modules),
    )
