"""What the reports of Lin et al. (2021) show beside the tables: profiles, and what Fig. 7 costs."""

from __future__ import annotations

from collections.abc import Sequence

from robench.studies import Run, Runs, Variant
from robench_studies.intrs2021.tables import DRAWS, FLOAT, INT

SECONDS = {INT: 55.8, FLOAT: 194.4}
"""Section 4.3: a robust prediction on CIFAR-10 by the most draws, in seconds."""


def profiles(variants: Sequence[Variant], runs: Runs) -> str:
    """What each record spent on training and votes, which the paper's numbers need to be told."""
    lines = [
        "## Profiles\n",
        "The paper: 90 epochs, N1 = 100, N2 = 100,000, alpha 0.001, the whole test set.\n",
        "| model | epochs | certifier | certified images |",
        "|---|---|---|---|",
    ]
    for variant in variants:
        run = runs.get(variant)
        if run is None:
            continue
        rows = run.table("certificates")
        certifier = run.record.config["certifier"]
        told = [
            ", ".join([name, *(f"{k} {its[k]}" for k in ("n2", "alpha") if k in its)])
            for name, its in certifier.items()
        ]
        images = "-" if rows is None else len(rows)
        epochs = run.record.config["train"].get("epochs") or "the data set's"
        lines.append(f"| {variant.label} | {epochs} | {'; '.join(told) or '-'} | {images} |")
    return "\n".join(lines)


def prediction_cost(integer: Variant, floating: Variant, runs: Runs) -> str:
    """Fig. 7: seconds of a prediction, bytes of the network, and their ratios."""
    lines = [
        "## Seconds and bytes\n",
        f"A prediction by {DRAWS[-1]:,} draws on this machine (the paper: another one, one image "
        "at a time). Fig. 8, over 8 minutes in float on a phone, cannot be measured here: the "
        "program of `robench export --format c` has `--bench N` for it.\n",
        "| model | s per image | the paper's | network, bytes |",
        "|---|---|---|---|",
    ]
    both = [(name, runs.get(one)) for name, one in ((INT, integer), (FLOAT, floating))]
    costs = [_cost(run) for _, run in both]
    for (name, _), (seconds, size) in zip(both, costs, strict=True):
        lines.append(f"| {name} | {_shown(seconds)} | {SECONDS[name]} | {_shown(size)} |")
    times, sizes = _ratio([c[0] for c in costs]), _ratio([c[1] for c in costs])
    lines.append(f"| ratio, float over int8 | {times} | 3.48 | {sizes} (the paper's about 1.67) |")
    return "\n".join(lines)


def _cost(run: Run | None) -> tuple[float | None, float | None]:
    """Seconds of a prediction and bytes as stored."""
    if run is None:
        return None, None
    values = {v.metric: v.value for v in run.record.values if v.axes.get("draws") == DRAWS[-1]}
    sizes = [v.value for v in run.record.values if v.metric == "size" and not v.axes]
    return values.get("prediction_seconds"), sizes[0] if sizes else None


def _ratio(pair: Sequence[float | None]) -> str:
    return f"{pair[1] / pair[0]:.2f}" if pair[0] and pair[1] else "-"


def _shown(value: float | None) -> str:
    return "not run" if value is None else f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"
