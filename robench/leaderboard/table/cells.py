"""Values as cells of a table: which column a value belongs to and what the cell says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from robench.base.stats import count, wilson
from robench.core.outcomes import Outcomes, scores
from robench.core.record import Axis, Record, Value
from robench.leaderboard.read.threat import Threat
from robench.leaderboard.table.formats import number, short
from robench.records.headline import Headline
from robench.records.protocol import NO_ACCESS
from robench.records.support.files import telling
from robench.records.support.values import DIFFERENCE, TIES
from robench.records.trust import LEVELS, Level
from robench.records.words import Said, Word, word_of_row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OF_ROWS = ("robust_accuracy", "attacked_accuracy")
OF_THREATS = ("worst_case_accuracy", "audited_accuracy")
"""Metrics of one attack, and of all: their cells say where less is known to hold."""
MAX_COLUMNS = 400
"""Of all tabs of a page together."""


@dataclass(frozen=True, eq=False)
class Column:
    """One column of the main table; `axes` are sorted pairs. Made by `column_of` alone, so that
    equal columns are one object and a table of ten thousand rows holds few of them."""

    metric: str
    unit: str
    better: str
    axes: tuple[tuple[str, Axis], ...] = ()

    @property
    def key(self) -> str:
        """Its name in the page's address."""
        return ".".join([self.metric, *(str(value) for _, value in self.axes)])

    def axis(self, name: str) -> Axis:
        """One of its axes, or None."""
        return next((value for known, value in self.axes if known == name), None)

    def __reduce__(self) -> tuple[Any, ...]:
        return column_of, (self.metric, self.unit, self.better, self.axes)


def column_of(metric: str, unit: str, better: str, axes: tuple[tuple[str, Axis], ...]) -> Column:
    """The one column of these properties; 1 and 1.0 are two axes, 0.0 and -0.0 one."""
    return _column_of(metric, unit, better, axes, tuple(type(axis) for _, axis in axes))


@cache
def _column_of(
    metric: str,
    unit: str,
    better: str,
    axes: tuple[tuple[str, Axis], ...],
    kinds: tuple[type, ...],
) -> Column:
    """`kinds` keep apart what is equal: whose axes came first must not decide another row's."""
    return Column(metric, unit, better, tuple((name, _unsigned(axis)) for name, axis in axes))


def _unsigned(axis: Axis) -> Axis:
    return axis + 0.0 if isinstance(axis, float) else axis


@dataclass(frozen=True, slots=True)
class Cell:
    """One number with its interval; `value` is None where it was refused or undefined."""

    value: float | None
    low: float | None = None
    high: float | None = None
    word: Word | Literal[""] = ""
    """What is to be said of it, if anything."""
    sentence: str = ""


def cells(
    record: Record, outcomes: Outcomes, heads: Mapping[Threat, Headline]
) -> dict[Column, Cell]:
    """A record's cells by column: what is known of it under each threat, then its values."""
    found: dict[Column, Cell] = {}
    for threat, head in heads.items():
        at = ("eps", threat.eps), ("norm", threat.norm)
        found[robust_column(threat)] = _headline(head)
        found[column_of("cost", "gradients", "lower", at)] = _cost(record, threat)
    found |= _file_cells(record)
    words = _row_words(record, outcomes, heads)
    for value in [*_without_layers(telling(record.values)), *_largest_perturbation(record.values)]:
        said = words.get(_row_key(value.axes)) if value.metric in OF_ROWS else None
        said = _above(value, heads) if value.metric in OF_THREATS else said
        found[column(value)] = _cell(value, said)
    for row in record.rows:
        if row.status == "invalid":
            axes = {"attack": row.attack, "access": row.access, "norm": row.norm, "eps": row.eps}
            missing = Value(metric="robust_accuracy", value=None, unit="share", axes=axes)
            found[column(missing)] = _cell(missing, Said("invalid", row.message))
    return found


def certified_cell(radius: float, right: NDArray[np.bool_], said: Said) -> dict[Column, Cell]:
    """The cell by which a certified protocol ranks: of images right and certified, by image."""
    cell = replace(_share(right), word=said.word, sentence=said.sentence)
    return {certified_column(radius): cell}


def robust_column(threat: Threat) -> Column:
    """The column of what is known under a threat."""
    return column_of("robust", "share", "higher", (("eps", threat.eps), ("norm", threat.norm)))


def certified_column(radius: float) -> Column:
    """The column of what ranks at a certified radius."""
    return column_of("certified", "share", "higher", (("radius", radius),))


def _headline(head: Headline) -> Cell:
    word, sentence = head.said.word, head.said.sentence
    if word == "invalid":
        return Cell(None, word=word, sentence=sentence)
    return replace(_share(head.holds), word=word, sentence=sentence)


def _file_cells(record: Record) -> dict[Column, Cell]:
    """A shipped file's bytes, and the labels that its twin shares with it, where it has one."""
    file, agreement = record.file, record.agreement
    if file is None:
        return {}
    found = {column_of("file_bytes", "bytes", "lower", ()): Cell(float(file.bytes))}
    if agreement.adversarial is None:
        return found
    clean, attacked = (
        number(share, "share") for share in (agreement.equal_labels, agreement.adversarial)
    )
    least = min(agreement.equal_labels, agreement.adversarial)
    said = f"{clean} % clean, {attacked} % attacked"
    return found | {column_of("agreement", "share", "higher", ()): Cell(least, sentence=said)}


def _share(right: NDArray[np.bool_]) -> Cell:
    hits = count(right)
    return Cell(hits / len(right), *wilson(hits, len(right)))


def _cost(record: Record, threat: Threat) -> Cell:
    """Gradients an image of all rows under a threat; its sentence has their queries and seconds,
    those of the audit among them.

    A search without a bound counts under every threat that it is judged under.
    """
    rows = [row for row in record.rows if row.norm == threat.norm and row.access != NO_ACCESS]
    mine = [row for row in rows if row.eps in (threat.eps, None)]
    audits = [one for one in record.audit if Threat(one.norm, one.eps) == threat]
    seconds = sum(row.seconds for row in mine) + sum(one.seconds or 0.0 for one in audits)
    said = f"{short(seconds / record.data.images)} s"
    if any(row.gradients is None or row.queries is None for row in mine):
        return Cell(None, sentence=said)
    queries = sum(row.queries or 0.0 for row in mine)
    return Cell(
        sum(row.gradients or 0.0 for row in mine), sentence=f"{queries:,.0f} queries, {said}"
    )


def _row_words(
    record: Record, outcomes: Outcomes, heads: Mapping[Threat, Headline]
) -> dict[tuple[Axis, ...], Said]:
    """What is to be said of the number of each row under each threat."""
    rows = {(row.attack, row.access): row for row in record.rows}
    found = {}
    for score in scores(outcomes, record.budgets(), when_clean_right=True):
        row = rows.get((score.attack, score.access))
        head = None if score.eps is None else heads.get(Threat(score.norm, score.eps))
        if row is None or head is None or row.access == NO_ACCESS:
            continue
        if said := word_of_row(record, row, score, head.holds):
            found[_row_key(score.axes)] = said
    return found


def _row_key(axes: Mapping[str, Axis]) -> tuple[Axis, ...]:
    return tuple(axes.get(name) for name in ("attack", "access", "norm", "eps"))


def _above(value: Value, heads: Mapping[Threat, Headline]) -> Said | None:
    """What is to be said of the worst case or the audited accuracy where less is known to hold."""
    norm, eps = value.axes.get("norm"), value.axes.get("eps")
    head = heads.get(Threat(str(norm), eps)) if isinstance(eps, float) else None
    over = (value.value or 0.0) - float(head.holds.mean()) if head else 0.0
    if over <= 0:
        return None
    alone = f" on {value.n} images alone" if head and value.n != len(head.holds) else ""
    return Said("weak", f"overstates by {number(over, 'share')} points{alone}")


def _cell(value: Value, said: Said | None) -> Cell:
    cell = Cell(value.value, value.low, value.high)
    return cell if said is None else replace(cell, word=said.word, sentence=said.sentence)


def column(value: Value) -> Column:
    """The column a value belongs to."""
    return column_of(value.metric, value.unit, value.better, tuple(sorted(value.axes.items())))


PERTURBATION = "weight_perturbation"


def _without_layers(values: Iterable[Value]) -> Iterable[Value]:
    return (value for value in values if "layer" not in value.axes)


WHOLE = {"step": "trained -> deployed", "view": "matrix"}
"""Of a layer's several ||dW||: all that was done to it, as a matrix."""


def layers(values: Iterable[Value]) -> list[Value]:
    """The ||dW||_2 of each layer, from training to what ships."""
    return [
        value
        for value in values
        if value.metric == PERTURBATION
        and str(value.axes.get("p")) in ("2", "2.0")
        and "layer" in value.axes
        and value.value is not None
        and all(value.axes.get(name, only) == only for name, only in WHOLE.items())
    ]


def _largest_perturbation(values: Iterable[Value]) -> Iterable[Value]:
    """The largest ||dW||_2 over the layers: the number the papers quote for a whole network."""
    if found := layers(values):
        largest = max(found, key=lambda value: value.value or 0.0)
        yield largest.model_copy(update={"metric": "largest_perturbation", "axes": {"p": 2}})


FAMILIES = (
    "certified",
    "robust",
    "clean_accuracy",
    "size",
    "file_bytes",
    "latency",
    "cost",
    "largest_perturbation",
    DIFFERENCE,
    "agreement",
    TIES,
    "robust_accuracy",
    "certified_accuracy",
    "certified_percentage",
)
"""Metrics by the order of their columns; others come after them."""
AT_FIRST = ("clean_accuracy", "size", "file_bytes")
"""Metrics that a table shows at first beside what ranks: the rest waits in the column chooser."""


COMPUTED = ("certified", "robust", "cost", DIFFERENCE, TIES)
"""What tables rank by, what it cost, and what is known of files alone: no metric adds to these."""
MOST = 10**7
"""More rows than any page has."""
WEIGHTS = {level: MOST**place for place, level in enumerate(LEVELS)}
"""What a row adds to its columns: no number of rows outweighs one that proves more."""


def ordered(rows: Iterable[tuple[Level, Mapping[Column, Cell]]]) -> list[Column]:
    """The columns of rows, each given with what it proves: families first, each in the order in
    which the rows have them.

    At most MAX_COLUMNS: those that a verified row has before those that a consistent one has, of
    these what robench computes, then what most rows have; so no row moves one that proves more.
    """
    weights: dict[Column, int] = {}
    for level, row in rows:
        weight = WEIGHTS[level]
        for found in row:
            weights[found] = weights.get(found, 0) + weight
    kept = set(sorted(weights, key=lambda c: _place(c, weights[c]))[:MAX_COLUMNS])
    return sorted((c for c in weights if c in kept), key=lambda c: (_family(c), c.metric))


def _place(column: Column, weight: int) -> tuple[int, bool, int, int]:
    """Orders columns from the first that is kept."""
    level = sum(weight >= least for least in WEIGHTS.values())
    return -level, column.metric not in COMPUTED, -weight, _family(column)


def _family(column: Column) -> int:
    return FAMILIES.index(column.metric) if column.metric in FAMILIES else len(FAMILIES)
