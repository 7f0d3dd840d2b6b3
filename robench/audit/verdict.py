"""Findings and verdicts: shares of images with intervals, compared with what would matter."""

from __future__ import annotations

from torch import Tensor

from robench.base.stats import Paired, paired, wilson
from robench.core.record import Finding, Verdict


def share_finding(
    check: str,
    hits: Tensor | int,
    n: int,
    sentence: str,
    *,
    suspect: float,
    fail: float | None = None,
) -> Finding:
    """A finding about a share of `n` images, `hits` of them (a count, or a mask).

    It is `suspect` (or `fail`) when the lower end of the share's 95 % interval lies above that
    limit; `{share}` and `{count}` in the sentence are filled in. No image: it passes.
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
        sentence=sentence.format(share=f"{count / n:.0%}" if n else "none", count=count, n=n),
    )


def difference(
    check: str, before: Tensor, after: Tensor, sentence: str, *, suspect: float, fail: float
) -> Finding:
    """A finding about the accuracy that one attack leaves minus another's, on the same images.

    `before` and `after` say which images hold: bool (N,). The verdict looks at the lower end of
    the paired interval; `{points}` in the sentence is filled in.
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
        sentence=sentence.format(points=f"{100 * pair.difference:.1f} points"),
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
        sentence=f"accuracy under {attack} is {100 * pair.difference:+.1f} points against clean",
    )
