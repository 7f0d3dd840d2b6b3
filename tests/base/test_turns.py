"""Steps are taken in turn, and what they make comes back in the order in which it was asked for."""

from __future__ import annotations

import pytest

from robench.base.turns import Steps, at_once, in_turn


def test_each_takes_a_step_before_any_takes_the_next() -> None:
    taken: list[str] = []

    def steps(name: str, count: int) -> Steps[str]:
        for number in range(count):
            taken.append(f"{name}{number}")
            yield
        return name

    assert in_turn([steps("a", 3), steps("b", 0), steps("c", 1)]) == ["a", "b", "c"]
    assert taken == ["a0", "c0", "a1", "a2"]


def test_one_alone_takes_all_its_steps() -> None:
    def steps() -> Steps[int]:
        first = yield from inner()
        return first + 1

    def inner() -> Steps[int]:
        yield
        return 1

    assert at_once(steps()) == 2


def test_what_a_step_raises_is_raised() -> None:
    def steps() -> Steps[None]:
        yield
        raise KeyError("x")

    with pytest.raises(KeyError, match="x"):
        in_turn([steps()])
