"""Of a system that answers at random: does the mean gradient predict what the mean answer does?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from robench.audit.contest import next_to_nothing
from robench.audit.means import Draws, Means
from robench.audit.verdict import AVERAGED, MISSED, NOISY, WATCHED, share_finding
from robench.base.seeds import generator
from robench.core.record import Finding, Verdict
from robench.core.sentences import sentence
from robench.core.system import forward
from robench.plugin.components import Check
from robench.plugin.trial import Trial
from robench.search import Scores

FIRST, MOST = 2, 16
"""Draws looked at first; they double until the interval decides, up to MOST."""
ADDITIVE = 0.8
"""How well mean differences add up from which on some gradient would predict them."""
WATCHED_LIMIT = 0.25
"""Share of images, at the lower end of its interval, with other scores while gradients are asked
for."""


@dataclass(frozen=True, kw_only=True)
class MeanGradients(Check):
    """Differences of the mean score of many answers, against the mean of as many gradients.

    An attacker averages gradients (expectation over transformation, Athalye et al., 2018): where
    their mean predicts what the mean answer does, randomness hides nothing, and an attack that
    loses to another by the same gradients is weak. Where even the mean predicts little, gradients
    mislead, or are so much noisier than the answers that they tell as little.
    """

    images: int = 10
    """Images tried, the first that are right clean."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """What the mean gradient misses, and images whose scores notice that it is asked for.

        Nobody can vouch for a system whose answers are too random to tell, unless the usual attack
        leaves next to nothing of it. A thrifty audit does not ask of what has failed already.
        """
        index = trial.reference.index[: self.images]
        failed = any(f.verdict == "fail" and f.check not in NOISY for f in trial.findings)
        if not trial.randomised or (trial.thrifty and failed) or len(index) == 0:
            return
        logits = getattr(trial.system.deployed, "logits", None)
        scores: Scores = logits or (lambda images: forward(trial.system.twin, images))
        draws = Draws(
            trial.system.twin,
            scores,
            trial.images[index],
            trial.labels[index],
            trial.threat,
            generator(trial.seed, "audit", AVERAGED),
        )
        means = _decided(draws)
        yield _missed(draws, means, len(index), "pass" if next_to_nothing(trial) else "suspect")
        yield share_finding(WATCHED, means.watched, len(index), suspect=WATCHED_LIMIT)


def _decided(draws: Draws) -> Means:
    """What the draws say once their interval lies on one side of the limit, or at MOST."""
    count = FIRST
    draws.add(FIRST)
    means = draws.means()
    while not _clear(means) and count < MOST:
        draws.add(count)
        count *= 2
        means = draws.means()
    return means


def _clear(means: Means) -> bool:
    """Whether the mean gradient surely predicts; that it does not is left to the most draws."""
    return means.told and means.predicted[1] >= 1 - MISSED


def _missed(draws: Draws, means: Means, images: int, untested: Verdict) -> Finding:
    if not means.told:
        return share_finding(AVERAGED, 0, 0, suspect=1.0).model_copy(update={"verdict": untested})
    value, high, low = (1 - one for one in means.predicted)
    # Differences that do not add up no gradient predicts; one that points backwards misleads.
    crooked = low > MISSED and not draws.additive() >= ADDITIVE
    limit = 1.0 if crooked else MISSED
    return Finding(
        check=AVERAGED,
        value=value,
        low=low,
        high=high,
        n=images,
        threshold=limit,
        verdict="suspect" if low > limit else "pass",
        sentence=sentence(
            AVERAGED, value, images, second=means.draws, number=f"{means.predicted[0]:.2f}"
        ),
    )
