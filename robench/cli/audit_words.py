"""Audits in words."""

from __future__ import annotations

from collections.abc import Iterator

from robench.core.record import Audit, Record

COLOURS = {"pass": "green", "suspect": "yellow", "fail": "red"}
MEANING = {
    "pass": "no sign of masked gradients",
    "suspect": "signs of masked gradients",
    "fail": "gradients are masked: the naive numbers do not mean robustness",
}


def audit_lines(record: Record) -> Iterator[tuple[str, str]]:
    """A colour and a line for each verdict, each reason and each weak attack."""
    for audit in record.audit:
        yield COLOURS[audit.verdict], f"{_title(audit)}: {audit.verdict}, {MEANING[audit.verdict]}"
        for finding in audit.findings:
            if finding.verdict != "pass":
                yield COLOURS[finding.verdict], f"  {finding.verdict}: {finding.sentence}"
        for weak in audit.weak_attacks:
            interval = f"[{100 * weak.low:.1f}, {100 * weak.high:.1f}]"
            missed = (
                "" if weak.missed is None else f", misses {weak.missed:.0%} of planted examples"
            )
            yield (
                "yellow",
                f"  weak attack: {weak.attack} ({weak.access}) leaves {100 * weak.gained:.1f} "
                f"{interval} points more than the audit{missed}",
            )


def _title(audit: Audit) -> str:
    return f"audit ({audit.level}, {audit.norm} {audit.eps:.4g}, {audit.n} images)"
