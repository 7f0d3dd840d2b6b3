"""The values that follow from the outcomes: each must be there, once, and be right."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from robench.base.errors import UserError
from robench.base.stats import count
from robench.core.names import bare, is_computed, spelled
from robench.core.outcomes import (
    ABSTAIN,
    Outcomes,
    RowOutcomes,
    Score,
    abstaining_as_right,
    clean_score,
    scores,
    worst_cases,
)
from robench.core.record import Axis, Record, Value, share
from robench.core.threat import parse_eps

ACCURACIES = (
    "clean_accuracy",
    "attacked_accuracy",
    "robust_accuracy",
    "worst_case_accuracy",
    "abstention",
)
"""Metrics that the metric `accuracy` measures; this second account of them shares no code with it
but the scores."""
UNBROKEN = "unbroken_accuracy"
"""The same with abstentions counted as right; older records do not say it."""
AUDITED, GAINED = "audited_accuracy", "gained_by_masking"
"""Metrics that the audit measures."""
TIES, TIES_RIGHT, TIES_WRONG = "tie_rate", "accuracy_ties_right", "accuracy_ties_wrong"
TWINS, DIFFERENCE = "twins_gap", "parent_difference"
OF_FILES = (TIES, TIES_RIGHT, TIES_WRONG, TWINS, DIFFERENCE)
"""Metrics that a run measures of a shipped file alone."""
HEADLINE = "headline"
"""What is computed of a record and what lies beside it, and not kept."""
OWN = (*ACCURACIES, UNBROKEN, AUDITED, GAINED, HEADLINE, *OF_FILES)
"""Names that say the same in every record, whichever plugins are installed."""
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+:-]{0,79}")
"""Names of components, metrics, accesses, norms, data sets and axes."""
ROUNDING = 1e-9
Key = tuple[str, str]


def resembles_own(name: str) -> bool:
    """Whether a metric's name reads like one of OWN and is none, begins so or has one between its
    dots: readers confuse the two."""
    alike = any(bare(part) in _BARE_OWN for part in name.split("."))
    return spelled(name).startswith(_LIKE_OWN) or (alike and name not in OWN)


_LIKE_OWN = tuple(f"{own}_" for own in OWN)
_BARE_OWN = {bare(own) for own in OWN}


def check_accuracies(record: Record, outcomes: Outcomes) -> None:
    """All accuracies follow from the outcomes, none is missing, and nothing is named like one or
    like what robench computes of a record."""
    for name in dict.fromkeys(value.metric for value in record.values):
        if resembles_own(name):
            raise UserError(
                f"expected values with names that do not begin as robench's own, got {name}"
            )
        if is_computed(name):
            raise UserError(
                f"expected values with names of their own, got {name!r}, which robench computes"
            )
    for name in record.config["attack"]:
        if is_computed(name):
            raise UserError(
                f"expected attacks with names of their own, got {name!r}, which robench computes"
            )
    wanted = list(_accuracies(outcomes, record))
    found = [value for value in record.values if value.metric in (*ACCURACIES, UNBROKEN)]
    if any(value.metric == UNBROKEN for value in found):
        wanted += _unbroken(outcomes, record)
    _check_budgets(record, outcomes)
    if not found and "accuracy" not in record.config["metric"]:
        return
    require_values(found, wanted, "the outcomes table")


def _accuracies(outcomes: Outcomes, record: Record) -> Iterator[Value]:
    known = record.budgets()
    yield _value("clean_accuracy", clean_score(outcomes), {})
    for metric, robust in (("attacked_accuracy", False), ("robust_accuracy", True)):
        for score in scores(outcomes, known, when_clean_right=robust):
            yield _value(metric, score, score.axes)
    for score in worst_cases(outcomes, known):
        yield _value("worst_case_accuracy", score, score.axes)
    yield from _abstentions(outcomes)


def _unbroken(outcomes: Outcomes, record: Record) -> Iterator[Value]:
    """Robust and worst-case accuracy where something abstains, with that counted as right."""
    if any((row.prediction == ABSTAIN).any() for row in outcomes.rows):
        known, lenient = record.budgets(), abstaining_as_right(outcomes)
        for score in scores(lenient, known, when_clean_right=True):
            yield _value(UNBROKEN, score, score.axes)
        for score in worst_cases(lenient, known):
            yield _value(UNBROKEN, score, score.axes)


def _value(metric: str, score: Score, axes: dict[str, Axis]) -> Value:
    return share(metric, count(score.right), len(score.right), axes)


def _abstentions(outcomes: Outcomes) -> Iterator[Value]:
    """Of each attack and access, all its rows together."""
    found: dict[tuple[str, str], list[RowOutcomes]] = {}
    for row in outcomes.rows:
        found.setdefault((row.attack, row.access), []).append(row)
    for (attack, access), rows in found.items():
        hits = sum(count(row.prediction == ABSTAIN) for row in rows)
        if hits:
            axes: dict[str, Axis] = {"attack": attack, "access": access}
            yield share("abstention", hits, sum(map(len, rows)), axes, better="lower")


def _check_budgets(record: Record, outcomes: Outcomes) -> None:
    """A search without a bound is counted at the eps that the configuration names."""
    known = record.budgets()
    for row in outcomes.attacked:
        asked = parse_eps(record.config["attack"][row.attack].get("eps"))
        if row.search != "minimal" or not asked or "accuracy" not in record.config["metric"]:
            continue
        mine = set(known.get(row.attack, ()))
        numbers = {item for item in asked if isinstance(item, float)}
        if not numbers <= mine or len(mine) > len(asked):
            raise UserError(
                f"expected robust_accuracy of {row.attack} at eps {list(asked)}, got {sorted(mine)}"
            )


# -- comparing -------------------------------------------------------------------------------------


def require_values(found: Iterable[Value], wanted: Sequence[Value], source: str) -> None:
    """Raise UserError unless the values are the wanted ones, each once, in any order."""
    known: dict[Key, Value] = {}
    for value in found:
        if known.setdefault(_key(value), value) is not value:
            raise UserError(f"expected {words(value)} once, got it twice")
    for value in wanted:
        said = known.pop(_key(value), None)
        if said is None:
            raise UserError(f"expected {words(value)} among the values, by {source}, got none")
        require_same(said, value, source)
    for value in known.values():
        raise UserError(f"expected values that follow from {source}, got also {words(value)}")


def require_same(said: Value, wanted: Value, source: str) -> None:
    """Raise UserError unless number, interval, n, unit and direction are the wanted ones."""
    if _content(said) == _content(wanted):
        return
    for name in ("value", "low", "high"):
        a, b = getattr(said, name), getattr(wanted, name)
        same = a == b if a is None or b is None else abs(a - b) <= ROUNDING
        if not same:
            what = "" if name == "value" else f"{name} of "
            raise UserError(f"expected {what}{words(said)} to be {_short(b)} by {source}, got {a}")
    for name in ("n", "unit", "better"):
        if getattr(said, name) != getattr(wanted, name):
            raise UserError(
                f"expected {name} {getattr(wanted, name)!r} of {words(said)} by {source}, got "
                f"{getattr(said, name)!r}"
            )


def _content(value: Value) -> tuple[object, ...]:
    return value.value, value.low, value.high, value.n, value.unit, value.better


def words(value: Value) -> str:
    """A value's metric and what it belongs to."""
    axes = " ".join(f"{axis}" for axis in value.axes.values() if axis not in (None, ""))
    return f"{value.metric} of {axes}" if axes else value.metric


def _key(value: Value) -> Key:
    """1 and 1.0 are two axes, and so are 0.0 and -0.0: a page tells them apart."""
    return value.metric, repr(sorted(value.axes.items()))


def _short(number: float | None) -> str:
    return "undefined" if number is None else f"{number:.6g}"
