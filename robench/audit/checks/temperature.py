"""Does cross-entropy work again at another temperature of the logits?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial

from robench.audit.contest import contest
from robench.core.record import Finding
from robench.core.system import forward
from robench.plugin.components import Check
from robench.plugin.trial import Trial
from robench.search import margin


@dataclass(frozen=True, kw_only=True)
class Temperature(Check):
    """Logits divided so that their median margin is 1 (after Gupta & Ajanthan, 2020)."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """The accuracy that cross-entropy leaves minus what it leaves at that temperature."""
        index = trial.reference.index
        if len(index) == 0:
            return
        logits = forward(trial.system.twin, trial.images[index])
        typical = float(margin(logits, trial.labels[index]).abs().nanmedian())
        temperature = min(max(typical, 1e-6), 1e9) if typical == typical else 1.0
        search = replace(trial.ascent("cross_entropy"), temperature=temperature)
        yield contest(
            trial,
            "temperature",
            "temperature",
            partial(trial.search, "temperature", trial.system.twin, search),
            number=f"{temperature:.3g}",
        )
