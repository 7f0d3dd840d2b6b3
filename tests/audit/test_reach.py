"""What the code of some objects can reach, and whether it changed."""

from __future__ import annotations

import random
from array import array
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import count
from threading import local
from typing import Any

import numpy as np
import pytest
import torch

from robench.audit.reach import ABSENT, Reach

KEPT: list[int] = []
COUNT = 0


def changed(root: object, change: Callable[[], object]) -> bool:
    """Whether a change shows in the marks of what is reached."""
    before = Reach(root).marks
    change()
    after = Reach(root).marks
    return len(before) != len(after) or any(
        one is not other or told != said
        for (one, told), (other, said) in zip(before, after, strict=True)
    )


class Holder:
    """Holds what it is given."""

    def __init__(self, **held: Any) -> None:
        self.__dict__.update(held)


class Slotted:
    """Holds it in a slot."""

    __slots__ = ("empty", "held")

    def __init__(self, held: object) -> None:
        self.held = held


def written(array: Any) -> Callable[[], object]:
    return partial(array.__setitem__, 0, 7)


@pytest.mark.parametrize(
    ("held", "change"),
    [
        (kept := [1], partial(kept.append, 2)),
        (named := {"a": 1}, partial(named.update, a=2)),
        (keyed := {"a": 1}, partial(keyed.update, b=1)),
        (drawn := {1}, partial(drawn.add, 2)),
        (line := deque([1]), partial(line.append, 2)),
        (numbers := torch.zeros(3), written(numbers)),
        (whole := torch.zeros(3, dtype=torch.int64), written(whole)),
        (hidden := torch.zeros(3), lambda: hidden.data.__setitem__(0, 7)),
        (rows := np.zeros(3), written(rows)),
        (inner := Holder(x=1), lambda: setattr(inner, "x", 2)),
        ((nested := [[1]],), partial(nested[0].append, 2)),
        (slotted := Slotted(1), lambda: setattr(slotted, "held", 2)),
        (deep := Slotted([1]), lambda: deep.held.append(2)),  # type: ignore[attr-defined]
        (counter := count(), lambda: next(counter)),
        (raw := bytearray(b"1"), written(raw)),
        (typed := array("i", [1]), written(typed)),
        (mine := local(), lambda: setattr(mine, "x", 1)),
        (frozenset([leaf := Holder(x=1)]), lambda: setattr(leaf, "y", 1)),
    ],
    ids=lambda one: type(one).__name__,
)
def test_what_an_object_holds(held: object, change: Callable[[], object]) -> None:
    holder = Holder(held=held)
    assert not changed(holder, lambda: None)
    assert changed(holder, change)


def test_whether_a_module_trains_is_no_memory() -> None:
    layer = torch.nn.Linear(2, 2)
    assert not changed(Holder(layer=layer), layer.eval)
    assert changed(Holder(layer=layer), lambda: setattr(layer, "training_steps", 1))


def test_a_draw_is_no_memory() -> None:
    held = Holder(torch=torch.Generator(), numpy=np.random.default_rng(0), plain=random.Random(0))
    assert not changed(held, lambda: (held.plain.random(), held.numpy.random()))  # type: ignore[attr-defined]
    memo = Reach(held).memo
    assert {id(one) for one in vars(held).values()} <= set(memo)


class Asking:
    """Its code reads and writes outside itself."""

    shared: list[int] = []  # noqa: RUF012  # what is tested
    plain = 1

    def by_global(self) -> None:
        KEPT.append(1)

    def by_name(self) -> None:
        global COUNT
        COUNT += 1

    def by_text(self) -> int:
        number: int = globals()["COUNT"]
        return number

    def by_default(self, kept: list[int] = [], *, more: list[int] = []) -> None:  # noqa: B006
        kept.append(1)
        more.append(1)

    @staticmethod
    def static() -> None:
        Asking.of_itself.append(1)  # type: ignore[attr-defined]

    @property
    def read(self) -> int:
        return len(KEPT)


def test_places_that_code_names() -> None:
    global COUNT
    asking = Asking()
    assert changed(asking, asking.by_global)
    assert changed(asking, asking.by_name)
    assert changed(asking, asking.by_default)
    assert changed(asking, lambda: Asking.shared.append(1))
    assert changed(asking, lambda: setattr(Asking, "plain", Asking.plain + 1))
    COUNT = 0
    assert not changed(asking, asking.by_text)


def test_closures_functions_and_parts_of_them() -> None:
    kept: list[int] = []

    def ask() -> None:
        kept.append(1)

    def outer() -> Callable[[], None]:
        return lambda: kept.append(2)

    for holder in (Holder(f=ask), Holder(f=partial(ask)), Holder(f=outer), Holder(f=[ask])):
        assert changed(holder, ask)
    ask.count = 1  # type: ignore[attr-defined]
    assert changed(Holder(f=ask), lambda: setattr(ask, "count", 2))


def test_a_place_is_put_back() -> None:
    global COUNT
    COUNT = 3
    asking = Asking()
    places = Reach(asking).places
    before = [place.get() for place in places]
    COUNT = 4
    Asking.plain = 9
    Asking.of_itself = []  # type: ignore[attr-defined]
    for place, value in zip(places, before, strict=True):
        place.put(value)
    assert COUNT == 3
    assert Asking.plain != 9


def test_what_was_not_there_is_taken_away_again() -> None:
    space = Holder(f=Asking.static)
    missing = [place for place in Reach(space).places if place.get() is ABSENT]
    for place in missing:
        place.put(5)
        assert place.get() == 5
        place.put(ABSENT)
        assert place.get() is ABSENT


def test_what_a_library_keeps_is_not_looked_through() -> None:
    assert not changed(Holder(f=torch.nn.functional.relu), lambda: None)
    assert Reach(Holder(f=np.linalg.norm)).places == []


def test_a_class_whose_module_is_no_name_is_looked_through() -> None:
    class Odd(Holder):
        pass

    Odd.__module__ = 3  # type: ignore[assignment]
    assert changed(odd := Odd(kept=[1]), lambda: odd.kept.append(2))


def test_a_mapping_that_refuses_to_be_listed_shows_its_attributes() -> None:
    class Refusing(dict[str, int]):
        def values(self) -> Any:
            raise RuntimeError("missing")

    refusing = Refusing(a=1)
    vars(refusing)["kept"] = kept = [1]
    assert changed(Holder(held=refusing), lambda: kept.append(2))


def test_what_a_dict_refuses_to_list_is_looked_at() -> None:
    class Hiding(dict[str, int]):
        def values(self) -> Any:
            raise RuntimeError("hidden")

    hiding = Hiding(a=1)
    assert changed(Holder(held=hiding), lambda: hiding.update(a=2))
