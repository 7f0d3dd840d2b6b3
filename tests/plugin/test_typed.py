"""Option types from the command line to the record and back, and the ones that cannot be."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Optional

import hydra
import pytest

import robench
from robench.base.errors import ConfigError, PluginError
from robench.base.paths import shipped
from robench.plugin import registry as plugins
from robench.plugin.registry import Choice, Registry
from robench.plugin.typed import check_options
from robench.run.compose import from_plain, prepare, run_config
from robench.run.config import RunConfig


class Order(Enum):
    """Values that are not names."""

    ROWS = "by rows"
    COLUMNS = 2


@dataclass(frozen=True)
class Schedule:
    """Options within an option."""

    start: float = 0.5
    order: Order = Order.ROWS
    steps: tuple[int, ...] = (1, 2)


class Quiet(robench.Attack):
    def run(self, twin: Any, images: Any, labels: Any, threat: Any, rng: Any) -> Any:
        return images


@dataclass(frozen=True, kw_only=True)
class Every(Quiet):
    """An option of each type."""

    flag: bool = False
    count: int = 3
    share: float = 0.5
    word: str = "a b"
    maybe: Optional[int] = None
    either: int | str | None = None
    pick: Literal["fast", "slow", 3] = "fast"
    order: Order = Order.ROWS
    path: Path = Path("a/b")
    floats: list[float] = field(default_factory=lambda: [0.5])
    whole: list[int] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    pair: tuple[int, str] = (1, "x")
    many: tuple[float, ...] = ()
    named: dict[str, float] = field(default_factory=lambda: {"a": 1.0})
    nested: Schedule = Schedule()
    deep: list[Schedule] = field(default_factory=list)
    free: Any = None


@dataclass(frozen=True, kw_only=True)
class Needs(Quiet):
    """An option without a default."""

    steps: int


PRESET = Every(order=Order.COLUMNS, path=Path("c"), nested=Schedule(start=0.25), many=(1.0, 2.0))


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The registry with the attacks of this file."""
    whole = plugins.registry()
    attacks = dict(whole.choices["attack"])
    result = dataclasses.replace(whole, choices={**whole.choices, "attack": attacks})
    for name, component in (("every", Every), ("every_preset", PRESET), ("needs", Needs)):
        result.add(Choice("attack", name, component, "mine", "robench-mine", "1.0"))
    for module in ("robench.run.compose", "robench.run.config"):
        monkeypatch.setattr(f"{module}.registry", lambda: result)
    return result


def composed(*overrides: str) -> RunConfig:
    prepare()
    with hydra.initialize_config_dir(str(shipped("conf")), version_base="1.3"):
        return run_config(hydra.compose("config", list(overrides)))[0]


GIVEN: list[tuple[str, str, Any]] = [
    ("flag", "flag=true", True),
    ("flag", "flag=yes", True),
    ("count", "count=-7", -7),
    ("count", 'count="7"', 7),
    ("share", "share=2", 2.0),
    ("share", "share=1e-3", 0.001),
    ("word", "word='x, y'", "x, y"),
    ("word", "word=3", "3"),
    ("maybe", "maybe=4", 4),
    ("maybe", "maybe=null", None),
    ("either", "either=4", 4),
    ("either", "either='4'", "4"),
    ("pick", "pick=slow", "slow"),
    ("pick", "pick=3", 3),
    ("order", "order=COLUMNS", Order.COLUMNS),
    ("order", "order=Order.COLUMNS", Order.COLUMNS),
    ("order", "order='by rows'", Order.ROWS),
    ("order", "order=2", Order.COLUMNS),
    ("path", "path=/tmp/x.npz", Path("/tmp/x.npz")),
    ("floats", "floats=[1,0.25]", [1.0, 0.25]),
    ("whole", "whole=[1,2]", [1, 2]),
    ("words", "words=[a,b]", ["a", "b"]),
    ("pair", "pair=[2,y]", (2, "y")),
    ("many", "many=[1,2.5]", (1.0, 2.5)),
    ("named", "named.a=2", {"a": 2.0}),
    ("named", "+named.b=2", {"a": 1.0, "b": 2.0}),
    ("nested", "nested.start=1", Schedule(start=1.0)),
    ("nested", "nested={order:COLUMNS}", Schedule(order=Order.COLUMNS)),
    ("deep", "deep=[{start:1},{}]", [Schedule(start=1.0), Schedule()]),
    ("free", "free=[1,{a:b}]", [1, {"a": "b"}]),
]


@pytest.mark.parametrize(("name", "words", "value"), GIVEN, ids=[g[1] for g in GIVEN])
def test_each_type_goes_from_the_command_line_to_the_record_and_back(
    name: str, words: str, value: Any
) -> None:
    plus = "+" * words.startswith("+")
    config = composed("attack=every", f"{plus}attack.every.{words.removeprefix('+')}")
    made: Any = config.attack["every"]
    assert getattr(made, name) == value
    assert type(getattr(made, name)) is type(value)
    assert made == dataclasses.replace(Every(), **{name: value})
    stored = json.loads(json.dumps(config.plain()))
    again = from_plain(stored)
    assert again.attack["every"] == made
    assert again.id == config.id


@pytest.mark.parametrize("choice", ["every", "every_preset"])
def test_defaults_of_a_class_and_of_a_preset_stay_what_they_are(choice: str) -> None:
    config = composed(f"attack={choice}")
    assert config.attack[choice] == (PRESET if choice == "every_preset" else Every())
    assert from_plain(config.plain()) == config


def test_a_whole_number_given_in_python_keeps_its_id() -> None:
    """Records made in Python hold 2 where the command line holds 2.0."""
    config = dataclasses.replace(composed("attack=every"), attack={"every": Every(share=2)})
    assert from_plain(config.plain()).id == config.id
    assert composed("attack=every", "attack.every.share=2").id != config.id


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("flag=maybe", "expected attack.every.flag to be true or false, got 'maybe'"),
        ("count=many", "expected attack.every.count to be a whole number, got 'many'"),
        ("count=2.5", "expected attack.every.count to be a whole number, got 2.5"),
        ("count=null", "expected attack.every.count to be a whole number, got null"),
        ("share=nan", "expected attack.every.share to be a finite number, got nan"),
        ("share=[1]", "expected attack.every.share to be a finite number, got [1]"),
        ("word=[a]", "expected attack.every.word to be text, got ['a']"),
        ("maybe=x", "expected attack.every.maybe to be a whole number, got 'x'"),
        ("either=[1]", "expected attack.every.either to be a whole number or text, got [1]"),
        ("pick=fats", "pick to be one of fast, slow, 3, got 'fats'; did you mean 'fast'?"),
        ("order=ROW", "order to be one of ROWS, COLUMNS, got 'ROW'; did you mean 'ROWS'?"),
        ("path=3", "expected attack.every.path to be a path, got 3"),
        ("floats=1", "expected attack.every.floats to be a list, got 1"),
        ("floats=[1,x]", "expected attack.every.floats[1] to be a finite number, got 'x'"),
        ("pair=[1]", "expected attack.every.pair to have 2 items, got 1"),
        ("+named.c=x", "expected attack.every.named.c to be a finite number, got 'x'"),
        ("nested.start=x", "expected attack.every.nested.start to be a finite number, got 'x'"),
        ("nested=3", "expected attack.every.nested to be a mapping with names as keys, got 3"),
        ("deep=[{strat:1}]", "option of attack.every.deep[0], got 'strat'; did you mean 'start'?"),
        ("free=[{a:inf}]", "expected attack.every.free to be numbers, texts, lists and mappings"),
    ],
)
def test_a_wrong_value_is_one_line_in_our_words(words: str, message: str) -> None:
    plus = "+" * words.startswith("+")
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        composed("attack=every", f"{plus}attack.every.{words.removeprefix('+')}")
    assert "\n" not in str(caught.value)


def test_an_option_without_a_default_must_be_given() -> None:
    with pytest.raises(ConfigError, match=r"attack.needs.steps: it has no default; set it"):
        composed("attack=needs")
    assert composed("attack=needs", "attack.needs.steps=2").attack["needs"] == Needs(steps=2)


# What no run could be composed with


class Loose:
    """No frozen dataclass."""


@dataclass
class Thawed:
    x: int = 0


def _raises() -> int:
    raise RuntimeError("no \x1b[31mcolour")


IMPOSSIBLE: list[tuple[str, Any, Any]] = [
    ("the type set[int]", set[int], field(default_factory=set)),
    ("the type complex", complex, 1j),
    ("the type bytes", bytes, b"x"),
    ("the type dict[int, str]", dict[int, str], field(default_factory=dict)),
    ("the type Loose", Loose, None),
    ("the type Thawed", Thawed, field(default_factory=Thawed)),
    ("the type", Callable[[int], int], None),
    ("the type", list[complex], field(default_factory=list)),
    ("default that JSON can hold", Any, field(default_factory=set)),
    ("default that JSON can hold", Any, print),
    ("default that JSON can hold", Any, Path("x")),
    ("default that JSON can hold", float, float("inf")),
    ("its factory raised RuntimeError: no \\u001b[31mcolour", int, field(default_factory=_raises)),
    ("expected the default to be a whole number, got null", int, None),
    ("expected the default to be one of a, b, got 'c'", Literal["a", "b"], "c"),
    ("field(init=False)", int, field(init=False, default=1)),
    ("types that can be evaluated", "Nowhere", 1),
]


@pytest.mark.parametrize(("words", "kind", "default"), IMPOSSIBLE)
def test_an_impossible_option_breaks_its_plugin_alone(words: str, kind: Any, default: Any) -> None:
    made = dataclasses.make_dataclass(
        "Odd", [("odd", kind, default)], bases=(Quiet,), frozen=True, kw_only=True
    )
    with pytest.raises(PluginError, match=re.escape(words)) as caught:
        check_options(made)
    assert "\x1b" not in str(caught.value)
    whole, bad = _plugin(("fine", Every)), _plugin(("first", Every), ("odd", made))
    found = plugins.discover([("bad", "d", "1", lambda: bad), ("good", "e", "1", lambda: whole)])
    (broken,) = found.broken
    assert broken.plugin == "bad"
    assert words in str(broken)
    assert set(found.choices["attack"]) == {"fine"}


def _plugin(*attacks: tuple[str, Any]) -> Any:
    from types import ModuleType

    @robench.hookimpl
    def robench_register(register: Any) -> None:
        for name, component in attacks:
            register("attack", name, component)

    module = ModuleType("a_plugin")
    vars(module)["robench_register"] = robench_register
    return module


def test_every_built_in_choice_has_options_that_compose() -> None:
    for choices in plugins.registry().choices.values():
        for choice in choices.values():
            check_options(choice.component)


@dataclass(frozen=True, kw_only=True)
class Careless(Quiet):
    """Fails on some of its options in words of its own."""

    steps: int = 1

    def __post_init__(self) -> None:
        if self.steps > 1:
            raise ZeroDivisionError("steps\n\x1b[2J")


def test_a_component_that_fails_on_its_options_is_named(known: Registry) -> None:
    known.add(Choice("attack", "careless", Careless, "mine", "robench-mine", "1.0"))
    with pytest.raises(PluginError) as caught:
        composed("attack=careless", "attack.careless.steps=2")
    assert str(caught.value) == (
        "attack=careless of robench-mine 1.0 failed: ZeroDivisionError: steps \\u001b[2J"
    )
