"""Two records on the same images: paired differences under every threat that both know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from robench.base.errors import UserError
from robench.base.stats import newcombe_unpaired, paired
from robench.base.text import one_line, shortened, true_minus, unmarked
from robench.core.outcomes import CLEAN, clean_score, scores, scores_by_threat
from robench.core.record import SYSTEM_KINDS, Record
from robench.records.headline import audit_table, headline
from robench.records.said import named, threat_text
from robench.records.store import check_choices, read, read_outcomes
from robench.records.tabular import Tabular

if TYPE_CHECKING:
    from numpy.typing import NDArray

WORST, HEADLINE, CERTIFIED = "worst case", "headline", "certified"
MOST = 4
"""Options by which two systems of the same choices are told apart."""
LONGEST = 400
"""Letters of what tells them apart."""
EXACT = 9
"""Decimals to which two eps are the same."""
Key = tuple[str, str, float | None]
"""A row of a comparison: its name, norm and eps."""


@dataclass(frozen=True)
class Row:
    """Two shares in [0,1], and the first minus the second with its 95 % interval."""

    name: str
    """An attack, `clean`, `worst case`, `headline` or `certified`."""
    norm: str
    eps: float | None
    """The radius of a certified row."""
    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float | None
    """McNemar's, exact; None of certified rows, whose images may differ."""

    @property
    def threat(self) -> str:
        """Its threat in words; nothing for the clean row."""
        return threat_text(self.norm, self.eps) if self.norm else ""


@dataclass(frozen=True)
class Versus:
    """Two systems beside each other."""

    first: str
    second: str
    """What tells each from the other, and the beginning of its id."""
    rows: tuple[Row, ...]
    left_out: tuple[str, ...]
    """The rows that only the first has, or only the second, in words."""
    verdict: str

    def tabular(self) -> Tabular:
        """The rows as a table: shares in [0,1]."""
        columns = ("row", "norm", "eps", "first", "second", "difference", "low", "high", "p")
        cells = (tuple(vars(row).values()) for row in self.rows)
        return Tabular(columns, tuple(cells))

    def for_paper(self) -> Tabular:
        """The rows as a paper prints them: percent, differences in points."""
        cells = (
            (
                row.name,
                row.threat,
                f"{100 * row.first:.1f}",
                f"{100 * row.second:.1f}",
                true_minus(
                    f"{100 * row.difference:+.1f} [{100 * row.low:+.1f}, {100 * row.high:+.1f}]"
                ),
                "" if row.p_value is None else f"{row.p_value:.2g}",
            )
            for row in self.rows
        )
        return Tabular(("row", "threat", "first", "second", "difference", "p"), tuple(cells))


def versus(first: Path, second: Path) -> Versus:
    """Compare two records row by row; raises UserError unless their images are the same."""
    records = read(first), read(second)
    if len({(r.data.hash, r.data.subset) for r in records}) != 1:
        raise UserError(
            f"expected two records of the same test images, got {records[0].data.name} "
            f"({records[0].data.images} images) and {records[1].data.name} "
            f"({records[1].data.images} images); run both with the same dataset= and images="
        )
    for record in records:
        check_choices(record)
    left, right = (_right(folder, r) for folder, r in zip((first, second), records, strict=True))
    rows = [_paired(key, left[key], right[key]) for key in left if key in right]
    rows += _certified(*records)
    alone = tuple(
        f"{which} alone: {', '.join(f'{n} {threat_text(norm, eps)}' for n, norm, eps in keys)}"
        for which, own, other in (("first", left, right), ("second", right, left))
        if (keys := [key for key in own if key not in other])
    )
    return Versus(*_names(*records), tuple(rows), alone, _verdict(rows))


def _right(folder: Path, record: Record) -> dict[Key, NDArray[np.bool_]]:
    """Which images hold, by row."""
    outcomes, table, known = read_outcomes(folder), audit_table(folder), record.budgets()
    found: dict[Key, NDArray[np.bool_]] = {(CLEAN, "", None): clean_score(outcomes).right}
    for score in scores(outcomes, known, when_clean_right=True):
        found[named(score.attack, score.access), score.norm, _eps(score.eps)] = score.right
    audited = {(audit.norm, _eps(audit.eps)) for audit in record.audit}
    for (norm, eps), own in scores_by_threat(outcomes, known).items():
        found[WORST, norm, _eps(eps)] = np.logical_and.reduce([score.right for score in own])
        if (norm, _eps(eps)) in audited:
            found[HEADLINE, norm, _eps(eps)] = headline(record, outcomes, table, norm, eps)
    return found


def _eps(eps: float | None) -> float | None:
    return None if eps is None else round(eps, EXACT)


def _paired(key: Key, first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Row:
    pair, shares = paired(first, second), (float(first.mean()), float(second.mean()))
    return Row(*key, *shares, pair.difference, pair.low, pair.high, pair.p_value)


def _certified(first: Record, second: Record) -> Iterator[Row]:
    """Certified accuracy at the radii that both state; of images that may differ."""
    others = {v.axes.get("radius"): v for v in second.values if v.metric == "certified_accuracy"}
    for one in first.values:
        radius = one.axes.get("radius")
        other = others.get(radius) if one.metric == "certified_accuracy" else None
        if other is None or not isinstance(radius, int | float):
            continue
        if one.value is None or other.value is None or not one.n or not other.n:
            continue
        counts = round(one.value * one.n), one.n, round(other.value * other.n), other.n
        shares = one.value, other.value, one.value - other.value
        yield Row(CERTIFIED, "l2", float(radius), *shares, *newcombe_unpaired(*counts), None)


def _names(first: Record, second: Record) -> tuple[str, str]:
    """What each is called: the choices, training, options and seed that differ, and its id."""
    left, right = _settings(first), _settings(second)
    choices = [key for key in left if "." not in key and left[key] != right.get(key)]
    options = [key for key in {**left, **right} if left.get(key) != right.get(key)]
    training = [key for key in options if key.startswith("train.")]
    shown = dict.fromkeys([*choices, *training] if choices else [*training, *options][:MOST])

    def name(record: Record, own: Mapping[str, str]) -> str:
        texts = [f"{key}={own[key]}" for key in shown if key in own]
        said = unmarked(one_line(" ".join(texts))) or "the same system"
        return f"{shortened(said, LONGEST)} ({one_line(record.id)[:8]})"

    return name(first, left), name(second, right)


def _settings(record: Record) -> dict[str, str]:
    """Choices by kind, then options and settings by path, as texts."""
    config: Mapping[str, Any] = record.config
    found = {kind: "+".join(map(str, config.get(kind, ()))) for kind in SYSTEM_KINDS}
    found["seed"] = str(record.seed)
    for kind in (*SYSTEM_KINDS, "train"):
        _flatten(kind, config.get(kind), found)
    return found


def _flatten(where: str, value: Any, found: dict[str, str]) -> None:
    if not isinstance(value, Mapping):
        found[where] = "null" if value is None else str(value)
        return
    for name, one in value.items():
        _flatten(f"{where}.{name}", one, found)


def _verdict(rows: list[Row]) -> str:
    """One sentence: which is more robust, under each threat that both were judged under."""
    best: dict[tuple[str, float | None], Row] = {}
    for row in rows:
        if row.name in (WORST, HEADLINE):
            best[row.norm, row.eps] = row
    if not best:
        return "no threat that both were attacked under: nothing can be said of their robustness"
    said: dict[str, list[str]] = {}
    for row in best.values():
        points = f"by {100 * abs(row.difference):.1f} points"
        surely = row.low > 0 or row.high < 0
        which = "the first" if row.difference > 0 else "the second"
        words = f"{which} is more robust" if surely else "no difference can be told"
        said.setdefault(words, []).append(f"{row.threat}{f' {points}' if surely else ''}")
    return "; ".join(f"{words} under {', '.join(threats)}" for words, threats in said.items())
