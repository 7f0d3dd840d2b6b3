"""What a reader asks first of a protocol's rows: which is best, and what does it cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from robench.leaderboard.table.entries import Entry, Loss
from robench.leaderboard.table.formats import number, points
from robench.leaderboard.table.site import Group

SHIPPED_BITS = 8
"""Of a weight, at most, in a network that ships small."""
ALL = "Best of all"
SHIPPED = f"Best that ships in at most {SHIPPED_BITS} bits"
BOTH = f"{ALL}, and it ships in at most {SHIPPED_BITS} bits"
NOTHING = "Nothing holds"
LIMIT = "the highest number here, and not surely more than always naming one class gets right"


@dataclass(frozen=True)
class Answer:
    """A question, the entry that answers it, and what more is to be said of it."""

    question: str
    entry: Entry
    said: tuple[str, ...]
    """What it ties with, and what it costs."""


def answers(group: Group, ranks: Mapping[str, int | None]) -> tuple[Answer, ...]:
    """The best entries of a group, none where nothing is ranked.

    Best is the highest mean headline that surely beats naming one class always: where none does,
    the first entry answers that nothing holds.
    """
    ranked = [entry for entry in group.entries if ranks[entry.first.id] is not None]
    holding = [entry for entry in ranked if entry.least.word != "broken"]
    if not holding:
        return tuple(_answer(NOTHING, entry, (LIMIT,)) for entry in ranked[:1])
    best = holding[0]
    small = next((entry for entry in holding if entry.first.bits <= SHIPPED_BITS), None)
    asked = [(BOTH, best)] if small is best else [(SHIPPED, small), (ALL, best)]
    return tuple(
        _answer(question, entry, (_standing(entry, ranked, ranks), *costs(entry, group)))
        for question, entry in asked
        if entry is not None
    )


def _answer(question: str, entry: Entry, said: Sequence[str]) -> Answer:
    return Answer(question, entry, tuple(filter(None, said)))


def _standing(entry: Entry, ranked: Sequence[Entry], ranks: Mapping[str, int | None]) -> str:
    """Its rank, and how many share it."""
    rank = ranks[entry.first.id]
    ties = sum(ranks[one.first.id] == rank for one in ranked) - 1
    if not ties:
        return f"rank {rank}"
    return f"shares rank {rank} with {ties} other{'s'[: ties > 1]}"


def costs(entry: Entry, group: Group) -> Iterator[str]:
    """What an entry costs: accuracy on clean images, bits, bytes, and what compression took."""
    row = entry.first
    by_metric = {column.metric: (column, cell) for column, cell in entry.cells.items()}
    if "clean_accuracy" in by_metric:
        yield f"{number(by_metric['clean_accuracy'][1].value, 'share')} % on clean images"
    size = by_metric.get("file_bytes") or by_metric.get("size")
    ships = "" if size is None else f", {number(size[1].value, size[0].unit)} kB"
    yield f"{row.bits} bits a weight{ships}"
    changed = group.loss(entry)
    if changed is not None:
        yield loss_text(changed)


def loss_text(changed: Loss) -> str:
    """What compression changed, in words: `3.2 points below its float parent (−5.5 to −0.9)`."""
    ends = f"{points(changed.low)} to {points(changed.high)}"
    if changed.networks == 1 and changed.low <= 0 <= changed.high:
        return f"not told apart from its float parent ({points(changed.difference)} points, {ends})"
    where = "below" if changed.difference < 0 else "above"
    said = f"{number(abs(changed.difference), 'share')} points {where}"
    if changed.networks > 1:
        return f"{said} its float parents, mean of {changed.networks} ({ends})"
    return f"{said} its float parent ({ends})"
