"""Work in steps, which many take in turn: all the first, then all the second.

Code and tables that a step needs are then in the processor's caches for all but the first, which
saves a fifth of the time where a step is a tenth of a millisecond.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TypeVar

T = TypeVar("T")
Steps = Generator[None, None, T]
"""Work that yields wherever others may go first, and returns what it made."""


def in_turn(many: Iterable[Steps[T]]) -> list[T]:
    """What each returns, in their order; raises what any of them raises."""
    waiting = dict(enumerate(many))
    made: dict[int, T] = {}
    while waiting:
        for number, steps in list(waiting.items()):
            try:
                next(steps)
            except StopIteration as end:
                made[number] = end.value
                del waiting[number]
    return [made[number] for number in sorted(made)]


def at_once(steps: Steps[T]) -> T:
    """What it returns, all its steps taken; raises what it raises."""
    return in_turn([steps])[0]
