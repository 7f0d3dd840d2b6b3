"""A step of a verification: done, refuted, or not done, each with its sentence."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from robench.base.errors import UserError, debugging
from robench.base.stats import at_least
from robench.base.text import one_line, reason
from robench.records.trust import Step

LIMIT = 900
"""Seconds that a step may take: the record's author chose how long its attacks search."""
ALPHA = 1e-3
"""Probability with which chance makes an honest record's step fail, at most: its tests share it."""


class NotDone(Exception):
    """What this step needs is not here; the message says what."""


class TooLong(Exception):
    """A step took all its time."""


class Refuted(UserError):
    """Something that the record says is false; the message says what."""


def step(name: str, work: Callable[[], str], *, needed: bool = True) -> Step:
    """Do a step: `work` returns the sentence of a pass, or raises NotDone, Refuted or UserError."""
    try:
        with limited(LIMIT):
            return Step(name=name, outcome="pass", text=work(), needed=needed)
    except NotDone as why:
        return Step(name=name, outcome="not done", text=one_line(why), needed=needed)
    except TooLong:
        text = f"it was not done after {LIMIT} seconds"
        return Step(name=name, outcome="not done", text=text)
    except UserError as fault:
        return Step(name=name, outcome="fail", text=one_line(fault), needed=needed)
    except Exception as error:  # a hostile file may provoke anything; it proves nothing
        if debugging():
            raise
        return Step(name=name, outcome="not done", text=f"internal error, {reason(error)}")


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Raise TooLong in the block when its time is over; in another thread than the first, never.

    Within another block the shorter time counts, and the outer one's goes on.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> NoReturn:
        raise TooLong

    start, before = time.monotonic(), signal.signal(signal.SIGALRM, end)
    outer = signal.alarm(0)
    signal.alarm(min(seconds, outer) if outer else seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        if outer:
            signal.alarm(max(1, outer - round(time.monotonic() - start)))


def unseen(tests: int) -> int:
    """How many images may differ before a sign test among `tests` says that it is no chance."""
    count = 0
    while not surely_more(count, 0, tests):
        count += 1
    return count


def surely_more(first: int, second: int, tests: int) -> bool:
    """Whether `first` of two counts of disagreement is larger by more than chance: a sign test.

    `tests` is how many a step makes.
    """
    return at_least(first, first + second) < ALPHA / tests
