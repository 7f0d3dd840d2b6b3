"""A step of a verification: done, refuted, or not done, each with its sentence."""

from __future__ import annotations

from collections.abc import Callable

from robench.base.errors import UserError
from robench.base.stats import at_least
from robench.records.trust import Step

ALPHA = 1e-3
"""Probability with which a test by chance finds an honest record's step false, at most."""


class NotDone(Exception):
    """What this step needs is not here; the message says what."""


class Refuted(Exception):
    """Something that the record says is false; the message says what."""


def step(name: str, work: Callable[[], str], *, needed: bool = True) -> Step:
    """Do a step: `work` returns the sentence of a pass, or raises NotDone, Refuted or UserError."""
    try:
        return Step(name=name, outcome="pass", text=work(), needed=needed)
    except NotDone as reason:
        return Step(name=name, outcome="not done", text=str(reason), needed=needed)
    except (Refuted, UserError) as fault:
        return Step(name=name, outcome="fail", text=str(fault), needed=needed)


def surely_more(first: int, second: int) -> bool:
    """Whether `first` of two counts of disagreement is larger by more than chance: a sign test."""
    return at_least(first, first + second) < ALPHA
