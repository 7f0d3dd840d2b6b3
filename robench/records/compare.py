"""Two records on the same images: paired differences of every row they share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from robench.base.errors import UserError
from robench.base.stats import Paired, paired
from robench.core.outcomes import Score, clean_score, scores
from robench.core.record import Record
from robench.records.store import read, read_outcomes


@dataclass(frozen=True)
class Comparison:
    """One row that both records have: robust accuracies and their paired difference."""

    attack: str
    access: str
    norm: str
    eps: float | None
    first: float
    second: float
    paired: Paired


def compare(first: Path, second: Path) -> list[Comparison]:
    """Compare the rows two records share; raises UserError unless the images are the same."""
    records = read(first), read(second)
    if len({(r.data.hash, r.data.subset) for r in records}) != 1:
        raise UserError(
            f"expected two records of the same test images, got {records[0].data.name} "
            f"({records[0].data.images} images) and {records[1].data.name} "
            f"({records[1].data.images} images); run both with the same dataset= and images="
        )
    left, right = (_scores(folder, r) for folder, r in zip((first, second), records, strict=True))
    return [
        Comparison(
            *key, left[key].value, right[key].value, paired(left[key].right, right[key].right)
        )
        for key in left
        if key in right
    ]


Key = tuple[str, str, str, float | None]


def _scores(folder: Path, record: Record) -> dict[Key, Score]:
    outcomes = read_outcomes(folder)
    found = [clean_score(outcomes), *scores(outcomes, budgets(record), when_clean_right=True)]
    return {(s.attack, s.access, s.norm, s.eps): s for s in found}


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
