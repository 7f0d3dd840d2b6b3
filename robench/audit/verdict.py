"""Findings and verdicts: shares of images with intervals, compared with what would matter."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from robench.base.stats import Paired, paired, wilson
from robench.core.record import Finding, Verdict
from robench.core.sentences import ACQUITTED, RANDOM, sentence

BENT, FRACTURED = "bent_gradients", "fractured_gradients"
"""Checks of a gradient against the differences of what is deployed."""
AVERAGED, WATCHED = "mean_gradients", "watched"
"""The same of a randomised system, on means; and of scores while a gradient is asked for."""
STALLED = "stalled"
"""The check of searches that end just short of an error."""
SIGNS = frozenset(
    (
        *("zero_gradients", "nonfinite_gradients", "saturated_logits", "saturated_gradients"),
        *("loss_not_rising", "twin_disagrees", BENT, STALLED, "noise", "unbounded_eps"),
        *("rises_with_eps", "planted", "random_prediction", "smoother_gradient", "transfer"),
        *("square", "black_box", "depends_on_batch", "saturates", "remembers", "tires"),
        *("changing_scores", "process", "process_tires", "longer"),
        *("jumping_scores", "labels", AVERAGED, WATCHED),
    )
)
"""Checks that show gradients to mislead: they fail, or what does not use them does better."""
WEAK = frozenset(
    (
        *("margin_loss", "dlr_loss", "temperature", "more_effort", "together", "adaptive"),
        *("beats_best_row", "missed_by_best_row"),
    )
)
"""Checks in which an attack beats another by the same gradients: another loss, more effort."""
NOISY = WEAK | {"loss_not_rising"}
"""Checks that randomness alone may trip: one draw's loss goes up and down."""
MISSED = 0.2
"""Part of a mean answer's differences (1 minus their correlation) that a mean gradient may miss."""
MOSTLY = 0.25
"""Share of images whose gradients predict little up to which gradients are sound."""


def predicting(findings: Iterable[Finding]) -> bool:
    """Whether the findings compare gradients with differences, and they predict them mostly."""
    lost = [finding.value for finding in findings if finding.check == FRACTURED]
    return bool(lost) and all(value is not None and value <= MOSTLY for value in lost)


def sound(findings: Iterable[Finding]) -> bool:
    """Whether the findings show gradients that predict what is deployed, and no sign against them.

    Without a comparison with differences, as of a randomised model, nothing shows that.
    """
    known = list(findings)
    signs = [finding for finding in known if finding.check in SIGNS]
    return predicting(known) and all(finding.verdict == "pass" for finding in signs)


def settled(findings: Iterable[Finding], *, thrifty: bool = True) -> tuple[Finding, ...]:
    """The findings, those acquitted that speak against an attack where the gradients are sound.

    An attack that loses to another one by the same gradients is weak; a system is masked only where
    gradients mislead. A randomised system is judged by the mean of its gradients: unless that or
    another sign shows gradients to mislead, such a finding convicts nobody, and where the mean is
    shown to predict, a thrifty audit drops a suspicion.
    """
    known = tuple(findings)
    if sound(known):
        return tuple(_acquitted(finding) for finding in known)
    missed = [finding for finding in known if finding.check == AVERAGED]
    signs = (f for f in known if f.check in SIGNS - NOISY - {AVERAGED, "random_prediction"})
    misled = bool(missed) and (missed[0].low or 0.0) > MISSED
    if not missed or misled or any(finding.verdict != "pass" for finding in signs):
        return known
    predicts = missed[0].high is not None and missed[0].high <= MISSED
    return tuple(_lowered(finding, predicts, thrifty) for finding in known)


def _lowered(finding: Finding, predicts: bool, thrifty: bool) -> Finding:
    """A finding that randomness may trip, a level lower; `predicts`: the mean gradient does."""
    if finding.check not in NOISY or finding.sentence.endswith(RANDOM):
        return finding
    drops = predicts and (thrifty or finding.check not in WEAK)
    told: dict[str, object] = {"sentence": finding.sentence + RANDOM}
    if finding.verdict == "fail" and (finding.check in WEAK or not drops):
        return finding.model_copy(update={**told, "verdict": "suspect"})
    if finding.verdict == "pass" or not drops:
        return finding
    return finding.model_copy(update={**told, "verdict": "pass", "threshold": 1.0})


def _acquitted(finding: Finding) -> Finding:
    if finding.verdict == "pass" or finding.check not in WEAK:
        return finding
    said = finding.sentence + ACQUITTED
    return finding.model_copy(update={"verdict": "pass", "threshold": 1.0, "sentence": said})


def share_finding(
    check: str,
    hits: Tensor | int,
    n: int,
    *,
    suspect: float,
    fail: float | None = None,
    **free: Any,
) -> Finding:
    """A finding about a share of `n` images, `hits` of them (a count, or a mask).

    It is `suspect` (or `fail`) when the lower end of the share's 95 % interval lies above that
    limit; `free` is what the check's sentence says beside the numbers. No image: it passes.
    """
    count = hits if isinstance(hits, int) else int(hits.sum())
    low, high = wilson(count, n) if n else (0.0, 1.0)
    level: Verdict = "pass"
    if n and low > suspect:
        level = "fail" if fail is not None and low > fail else "suspect"
    return Finding(
        check=check,
        value=count / n if n else None,
        low=low if n else None,
        high=high if n else None,
        n=n,
        threshold=suspect,
        verdict=level,
        sentence=sentence(check, count / n if n else None, n, **free),
    )


MUCH, MATERIAL = 1 / 3, 0.08
"""Of the images that an attack leaves right, the share that others must break together; and of all
images. Both at the interval's lower end."""


def missed_finding(
    check: str, missed: Tensor, right: Tensor, much: float = MUCH, **free: Any
) -> Finding:
    """A finding about what an attack leaves right, bool (N,), and others together break.

    Several attacks always break more than one does. It is suspect where they break `much` of what
    that one leaves, and a MATERIAL share of all images.
    """
    count = int((missed & right).sum())
    material = bool(len(right)) and wilson(count, len(right))[0] > MATERIAL
    suspect = much if material else 1.0
    return share_finding(check, count, int(right.sum()), suspect=suspect, **free)


def difference(
    check: str, before: Tensor, after: Tensor, *, suspect: float, fail: float, **free: Any
) -> Finding:
    """A finding about the accuracy that one attack leaves minus another's, on the same images.

    `before` and `after` say which images hold: bool (N,). The verdict looks at the lower end of
    the paired interval; `free` is as in `share_finding`.
    """
    pair = paired(before.numpy(), after.numpy())
    level: Verdict = "fail" if pair.low > fail else "suspect" if pair.low > suspect else "pass"
    return Finding(
        check=check,
        value=pair.difference,
        low=pair.low,
        high=pair.high,
        n=pair.n,
        threshold=suspect,
        verdict=level,
        sentence=sentence(check, pair.difference, pair.n, **free),
    )


def above_clean(attack: str, pair: Paired) -> Finding:
    """A finding about a white-box row's accuracy minus the clean one, on the same images."""
    level: Verdict = "fail" if pair.low > 0 else "pass"
    return Finding(
        check="above_clean",
        value=pair.difference,
        low=pair.low,
        high=pair.high,
        n=pair.n,
        threshold=0.0,
        verdict=level,
        sentence=sentence("above_clean", pair.difference, pair.n, attack=attack),
    )
