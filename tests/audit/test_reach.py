"""What the code of some objects can reach, and whether it changed."""

from __future__ import annotations

import enum
import random
import weakref
from array import array
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from pathlib import Path
from threading import local
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from robench.audit.reach import ABSENT, Reach, TooMuch
from robench.audit.unasked import NotCopied, Unasked
from robench.core.system import FloatDeployed, System
from robench_data.networks.layers import Normalize

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


class Proxy:
    """As a context's local outside of it: it says of itself that it is nothing."""

    @property
    def __class__(self) -> type:
        raise RuntimeError("outside of the context")

    @__class__.setter
    def __class__(self, kind: type) -> None:
        raise RuntimeError("outside of the context")


class Tree(Mapping[str, Any]):
    """Makes what it holds as it is asked, without end."""

    def __getitem__(self, key: str) -> Any:
        return Tree()

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Any:
        return count()


class Odd:
    """Has no attributes that could be listed."""

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        return None


class Closed(type):
    """Whose classes refuse to be looked at."""

    def __getattribute__(cls, name: str) -> Any:
        if name in ("__module__", "__mro__", "__dict__"):
            raise RuntimeError(name)
        return super().__getattribute__(name)


class Shut(metaclass=Closed):
    pass


def gone() -> Any:
    holder = Holder()
    return weakref.proxy(holder)


FOREIGN: dict[str, Callable[[], Any]] = {
    "proxy": Proxy,
    "endless mapping": Tree,
    "odd attributes": Odd,
    "closed class": Shut,
    "dead reference": gone,
    "meta tensor": lambda: torch.empty(3, device="meta"),
    "lazy module": lambda: torch.nn.LazyLinear(3),
}


@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_no_foreign_object_stops_the_look(make: Callable[[], Any]) -> None:
    thing, kept = make(), list[int]()
    assert changed([thing, kept], lambda: kept.append(1))


class Endless:
    """Holds another one whenever it is looked at."""

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        return {"next": Endless()}


def test_a_look_that_has_no_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("robench.audit.reach.MOST", 1000)
    with pytest.raises(TooMuch):
        Reach([Endless()])
    system = System(FloatDeployed(nn.Sequential(nn.Identity())), nn.Sequential())
    system.twin.register_module("endless", nn.Identity())
    vars(system.twin)["held"] = Endless()
    with pytest.raises(NotCopied):
        Unasked(system)


def test_a_mapped_file_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "table"
    file.write_bytes(bytes(10))
    table = np.memmap(file, np.uint8, "r")
    assert not any(thing is table for thing, _ in Reach([table]).marks)


def own_function(x: Any) -> Any:
    return x


@pytest.mark.parametrize(
    ("thing", "foreign"),
    [
        (nn.Sequential(nn.Linear(2, 2), nn.ReLU()), False),
        (nn.Sequential(Normalize([0.5], [0.5])), False),
        (Holder(), True),
        ([own_function], True),
        ([type("Linear", (nn.Linear,), {"__module__": "torch.nn.modules.linear"})(2, 2)], True),
    ],
)
def test_whose_code_it_is(thing: Any, foreign: bool) -> None:
    assert Reach(thing).foreign == foreign


class Fixed(type):
    """Whose classes keep the attributes that they have."""

    def __setattr__(cls, name: str, value: object) -> None:
        raise AttributeError(name)


class Limits(metaclass=Fixed):
    low = 0.0


MINE = ["mine"]


class CountingFlags(nn.Module):
    """Counts its calls, and names classes that refuse other attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return x.flatten(1) + Limits.low if Flags.ONE and MINE else x


class Flags(enum.IntFlag):
    ONE = 1
    TWO = 2


def test_classes_that_refuse_other_attributes_are_left_as_they_are() -> None:
    own, network = MINE, CountingFlags()
    unasked = Unasked(System(FloatDeployed(network), network))
    with unasked.anew() as system:
        system.twin(torch.zeros(1, 2))
        assert MINE is not own
    assert MINE is own
    assert network.calls == 0
