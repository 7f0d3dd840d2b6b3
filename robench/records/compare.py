"""The budgets of minimum-norm attacks, at which two records can be compared."""

from __future__ import annotations

from robench.core.record import Record


def budgets(record: Record) -> dict[str, tuple[float, ...]]:
    """Eps at which a minimum-norm attack's accuracy stands in the record, by attack."""
    minimal = {row.attack for row in record.rows if row.eps is None}
    found: dict[str, list[float]] = {}
    for value in record.values:
        attack, eps = value.axes.get("attack"), value.axes.get("eps")
        if value.metric == "robust_accuracy" and attack in minimal and isinstance(eps, float):
            known = found.setdefault(str(attack), [])
            known += [] if eps in known else [eps]
    return {attack: tuple(values) for attack, values in found.items()}
