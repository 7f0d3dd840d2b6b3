"""The audited table of Song et al. (2021) beside the naive one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from robench.core.record import Audit, Value
from robench.studies.runs import Run, Runs
from robench_studies.song2021.grid import Grid


def audited_table(grid: Grid, runs: Runs) -> str:
    """Per system and threat: the best naive row, the audited accuracy, the verdict; or nothing."""
    systems = [*grid.systems.values(), *grid.last_three, grid.control]
    found = ((system.label, run) for system in systems if (run := runs.get(system)))
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
