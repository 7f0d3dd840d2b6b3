"""A study by other records than those that count, where these prove as much and say otherwise."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from robench.core.record import Audit, Value
from robench.studies.measures import Measure
from robench.studies.run import Run
from robench.studies.runs import Cell, Runs, Variant, cell_of, difference

CHANCE = 0.01
"""A paired test below it tells two records apart, whatever they drew."""
CLOCKED = ("s", "s per image", "img/s")
"""Units of what no two records have alike."""
Number = Value | Audit | Cell


def otherwise(runs: Runs, variants: Iterable[Variant]) -> Iterator[Runs]:
    """For each variant with several records of equal proof, the study by the least that these say
    of every value, verdict and cell that was asked for, and by the most; nothing where they agree.

    Two agree on images where they differ by no more than chance and their intervals meet, on a
    value where its narrower interval bridges the difference, on times always. What one alone says
    nobody disputes.
    """
    for variant in variants:
        run, rivals = runs.get(variant), runs.rivals(variant)
        if run is None or not rivals:
            continue
        for told in _extremes(run, rivals, runs.asked(variant)):
            cells = {m: cell for m, cell in told.items() if isinstance(m, Measure)}
            yield runs.instead(variant, _Told(run, told), cells)


class _Told(Run):
    """A record that says something else than its file."""

    def __init__(self, run: Run, told: Mapping[Hashable, Any]) -> None:
        super().__init__(run.folder)
        record = run.record
        said: dict[Hashable, Any] = {_about(value): value for value in record.values}
        said |= {_about(audit): audit for audit in record.audit}
        said |= told
        values = tuple(one for one in said.values() if isinstance(one, Value))
        audits = tuple(one for one in said.values() if isinstance(one, Audit))
        self.record = record.model_copy(update={"values": values, "audit": audits})


def _extremes(
    run: Run, rivals: Iterable[Path], measures: Collection[Measure]
) -> list[dict[Hashable, Any]]:
    """The least and the most that is said of each number that a rival contradicts, or that it has
    under other axes."""
    least: dict[Hashable, Any] = {}
    most: dict[Hashable, Any] = {}
    mine = dict(_numbers(run, measures))
    metrics = {value.metric for value in run.record.values}
    for folder in rivals:
        for key, number in _numbers(Run(folder), measures):
            first = mine.get(key, number)
            elsewhere = isinstance(number, Value) and key not in mine and number.metric in metrics
            if elsewhere or _contradict(first, number):
                least[key] = min(least.get(key, first), number, key=_order)
                most[key] = max(most.get(key, first), number, key=_order)
    return [least, most] if least else []


def _numbers(run: Run, measures: Iterable[Measure]) -> Iterator[tuple[Hashable, Number]]:
    for value in run.record.values:
        yield _about(value), value
    for audit in run.record.audit:
        yield _about(audit), audit
    for measure in measures:
        if cell := cell_of(run, measure):
            yield measure, cell


def _about(one: Value | Audit) -> Hashable:
    if isinstance(one, Audit):
        return one.norm, one.eps, one.level, one.n
    return one.metric, *sorted(one.axes.items())


def _contradict(mine: Number, other: Number) -> bool:
    if isinstance(mine, tuple) and isinstance(other, tuple):
        pair = difference(mine, other)
        return _apart(mine, other) or (pair is not None and pair.p_value < CHANCE)
    if isinstance(mine, Value) and isinstance(other, Value):
        if mine.unit in CLOCKED and other.unit in CLOCKED:
            return False
        if mine.value is None or other.value is None:
            return mine.value != other.value
        # Of the two intervals the narrower one: a wide one is easily written.
        return abs(mine.value - other.value) > min(_width(mine), _width(other))
    return _order(mine) != _order(other)


def _apart(mine: Cell, other: Cell) -> bool:
    """Whether the intervals of two shares have nothing in common: whoever judges few images chooses
    them."""
    (low, high), (least, most) = mine[0].interval, other[0].interval
    return high < least or most < low


def _width(value: Value) -> float:
    return 0.0 if value.low is None or value.high is None else value.high - value.low


def _order(number: Number) -> tuple[bool, float] | str:
    if isinstance(number, tuple):
        return True, number[0].value
    if isinstance(number, Audit):
        return number.verdict
    return number.value is not None, number.value or 0.0
