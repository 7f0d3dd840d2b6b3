"""What the reports of Song et al. (2021) show beside the tables.

The audited accuracies, the headline in one number, and the Lipschitz measurements: norms of dW, and
what layers amplify.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from robench import Z95, Audit, Score, Value
from robench.studies import Measure, Run, Runs, Variant
from robench_studies.song2021.tables import (
    MARGIN,
    TRAININGS,
    Setup,
    black_box,
    last_three,
    noise_control,
    twelve,
    white_box,
)

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

TABLE = "audit"
"""The table that `robench.run.audit_files` writes: a row per audit and image."""
NOT_ADVERSARIAL = ("Clean", "Normal", "Uniform")
MAPPED, PLAIN = ("F.L.", True, 3), ("F.L.", False, 3)
QUANTIZATION = {"step": "mapped -> quantized"}
SPECTRAL = QUANTIZATION | {"view": "matrix", "p": "2"}
NORMS = {
    f"||dW||_{p}, {view}": QUANTIZATION | {"view": view, "p": p}
    for view in ("matrix", "circular convolution")
    for p in ("1", "2", "inf")
}
TERMS = ("W dx", "dW x", "dW dx")


@dataclass(frozen=True)
class Audited(Measure):
    """Which of the audit's images hold; under no threat of an audit, are right."""

    def score(self, run: Run) -> Score | None:
        """See Measure; None in a run without an audit, too."""
        score = super().score(run)
        if score is None or run.table(TABLE) is None:
            return None
        same = self._audit(run, score)
        if same is not None:
            return replace(score, right=np.asarray(same.held, dtype=bool))
        return replace(score, right=score.right[_positions(run.table(TABLE))])

    def images(self, run: Run) -> NDArray[np.int64]:
        """See Measure."""
        score = super().score(run)
        same = self._audit(run, score) if score else None
        return run.images[_positions(run.table(TABLE) if same is None else same)]

    def _audit(self, run: Run, score: Score) -> pd.DataFrame | None:
        """The audit under the score's threat; noise has none."""
        table = run.table(TABLE)
        same = table[(table.norm == score.norm) & (table.eps == score.eps)].sort_values("position")
        return same if len(same) and self.access != "none" else None


def _positions(table: pd.DataFrame) -> NDArray[np.int64]:
    return np.sort(table.position.unique())


def audited_table(setup: Setup, runs: Runs) -> str:
    """Per system and threat: the best naive row, the audited accuracy, the verdict; or nothing."""
    variants = [*twelve(setup).values(), *last_three(setup), noise_control(setup)]
    found = ((variant.label, run) for variant in variants if (run := runs.get(variant)))
    rows = list(chain.from_iterable(_rows(label, run) for label, run in found))
    if not rows:
        return ""
    return "\n".join(
        [
            "## Audited\n",
            "Robust accuracy, in percent of all images, under the white-box attacks that leave "
            "most and least, PGD on the margin included; what the audit leaves of its images; the "
            "largest gain by masking of such an attack, paired, in points; the verdict.\n",
            "| model | threat | most | least | audited | gained by masking | verdict |",
            "|---|---|---|---|---|---|---|",
            *rows,
        ]
    )


def _rows(label: str, run: Run) -> Iterator[str]:
    for audit in run.record.audit:
        naive = _at(run, audit, "robust_accuracy")
        (audited,) = _at(run, audit, "audited_accuracy") or (None,)
        gained = max(_at(run, audit, "gained_by_masking"), key=_share, default=None)
        most, least = max(naive, key=_share, default=None), min(naive, key=_share, default=None)
        cells = [label, _threat(audit), _named(most), _named(least), _cell(audited), _cell(gained)]
        yield f"| {' | '.join(cells)} | {_verdict(audit)} |"


def _at(run: Run, audit: Audit, metric: str) -> list[Value]:
    """The values of a metric under the audit's threat, of white-box rows where it has rows."""
    return [
        value
        for value in run.record.values
        if value.metric == metric
        and (value.axes.get("norm"), value.axes.get("eps")) == (audit.norm, audit.eps)
        and value.axes.get("access", "white_box") == "white_box"
        and value.value is not None
    ]


def _share(value: Value) -> float:
    return value.value or 0.0


def _threat(audit: Audit) -> str:
    return f"{ {'linf': 'Linf', 'l2': 'L2'}[audit.norm] } {audit.eps:.4g}".strip()


def _named(value: Value | None) -> str:
    return "-" if value is None else f"{100 * _share(value):.1f} ({value.axes['attack']})"


def _cell(value: Value | None) -> str:
    if value is None:
        return "-"
    low, high = (100 * (bound or 0.0) for bound in (value.low, value.high))
    return f"{100 * _share(value):.1f} [{low:.1f}, {high:.1f}]"


def _verdict(audit: Audit) -> str:
    reasons = [f.check for f in audit.findings if f.verdict == audit.verdict != "pass"]
    return audit.verdict + (f": {', '.join(reasons)}" if reasons else "")


def headline(setup: Setup, runs: Runs) -> str:
    """The headline over 13 columns and over the 10 adversarial ones, naive and audited."""
    every = headline_measures(setup)
    adversarial = [measure for measure in every if measure.label not in NOT_ADVERSARIAL]
    lines = [
        "## Headline: mean of F.L.+mu (Q) - F.L. (Q)\n",
        "Audited: on the images of the audits, where one counts under a norm and eps only if every "
        "row and every search of the audit leaves it right.\n",
        "| columns | naive | audited |",
        "|---|---|---|",
    ]
    for name, chosen in ((f"all {len(every)}", every), (f"{len(adversarial)}", adversarial)):
        gains = [gain(setup, runs, chosen, audited=audited) for audited in (False, True)]
        cells = " | ".join("not run" if mean is None else points(*mean) for mean in gains)
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


def headline_measures(setup: Setup) -> list[Measure]:
    """The 13 columns of the paper's two tables."""
    return [*(measure for measure in white_box(setup) if measure != MARGIN), *black_box(setup)]


def gain(
    setup: Setup, runs: Runs, measures: Sequence[Measure], *, audited: bool
) -> tuple[float, float, float] | None:
    """Mean over measures and images of mapped minus plain, with its 95 % interval (normal)."""
    mapped, plain = (twelve(setup)[key] for key in (MAPPED, PLAIN))
    differences = []
    for measure in (Audited(**vars(one)) for one in measures) if audited else measures:
        first, second = runs.score(mapped, measure), runs.score(plain, measure)
        if first is None or second is None or len(first.right) != len(second.right):
            return None
        differences.append(first.right.astype(float) - second.right.astype(float))
    if len(set(map(len, differences))) > 1:  # audits of different images
        return None
    each = np.mean(differences, axis=0)
    half = Z95 * float(each.std(ddof=1)) / len(each) ** 0.5
    mean = float(each.mean())
    return mean, mean - half, mean + half


def points(mean: float, low: float, high: float) -> str:
    """A mean difference, a share, in points with its interval."""
    return f"{100 * mean:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}]"


def norms_table(setup: Setup, runs: Runs) -> str:
    """||dW||_2 of each layer, of the quantization error, for the three trainings."""
    variants = [twelve(setup)[training, False, 3] for training in TRAININGS]
    title = "||dW||_2, quantization error at 3 bits, weights as matrices"
    return _table(title, variants, runs, "weight_perturbation", SPECTRAL)


def all_norms(variants: Sequence[Variant], last: int | None, runs: Runs) -> str:
    """The norms of the quantization error, p = 1, 2, inf, of matrices and of convolutions.

    Of the last so many layers; None: of all.
    """
    tables = (
        _table(f"{title}, mapped -> quantized", variants, runs, "weight_perturbation", axes, last)
        for title, axes in NORMS.items()
    )
    return "\n\n".join(filter(None, tables))


def amplification(variants: Sequence[Variant], last: int | None, runs: Runs) -> str:
    """Feature distances and the terms of the error, layer by layer, means over images."""
    return "\n\n".join(filter(None, _amplification(variants, last, runs)))


def _amplification(variants: Sequence[Variant], last: int | None, runs: Runs) -> Iterator[str]:
    title = "Relative feature distance ||dx|| / ||x||, the layers' inputs"
    yield _table(title, variants, runs, "feature_distance", {}, last)
    for term in TERMS:
        yield _table(f"||{term}||", variants, runs, "error_term", {"term": term}, last)
    yield _table("Signal to noise ||W x|| / ||W dx||", variants, runs, "signal_to_noise", {}, last)


def _table(
    title: str,
    variants: Sequence[Variant],
    runs: Runs,
    metric: str,
    axes: dict[str, str],
    last: int | None = None,
) -> str:
    values = {variant.label: by_layer(runs, variant, metric, axes) for variant in variants}
    if not any(values.values()):
        return ""
    kept = _layers(variants, runs)[-(last or 0) :]
    layers = [layer for layer in next(filter(None, values.values())) if layer in kept]
    lines = [f"## {title}\n", f"| model | {' | '.join(layers)} |", "|---" * (len(layers) + 1) + "|"]
    for label, found in values.items():
        cells = (f"{found[layer]:.3f}" if layer in found else "not run" for layer in layers)
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _layers(variants: Sequence[Variant], runs: Runs) -> list[str]:
    """All layers with weights, in the network's order."""
    found = (by_layer(runs, variant, "weight_perturbation", SPECTRAL) for variant in variants)
    return list(next(filter(None, found), {}))


def by_layer(runs: Runs, variant: Variant, metric: str, axes: dict[str, str]) -> dict[str, float]:
    """A metric's values with these axes, by layer; none where there is no record."""
    run = runs.get(variant)
    return {
        str(value.axes["layer"]): value.value
        for value in (run.record.values if run else ())
        if value.metric == metric
        and value.value is not None
        and "layer" in value.axes
        and axes.items() <= value.axes.items()
    }
