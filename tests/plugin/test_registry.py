from __future__ import annotations

import re
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest

import robench
from robench.base.errors import ConfigError
from robench.plugin.registry import Choice, Registry, discover


@dataclass(frozen=True, kw_only=True)
class Still(robench.Attack):
    """Leaves images as they are."""

    steps: int = 3

    def run(self, twin: Any, images: Any, labels: Any, threat: Any, rng: Any) -> Any:
        return images


def module(**hooks: Any) -> ModuleType:
    result = ModuleType("a_plugin")
    for name, hook in hooks.items():
        setattr(result, name, hook)
    return result


def registering(*calls: tuple[str, str, Any]) -> ModuleType:
    @robench.hookimpl
    def robench_register(register: Any) -> None:
        for call in calls:
            register(*call)

    return module(robench_register=robench_register)


def found(*modules: ModuleType) -> Registry:
    return discover((f"plugin{i}", f"dist{i}", "1.0", lambda m=m: m) for i, m in enumerate(modules))


def test_classes_and_presets_are_registered_with_their_origin() -> None:
    known = found(registering(("attack", "still", Still), ("attack", "still_long", Still(steps=9))))
    assert not known.broken
    choice = known.get("attack", "still_long")
    assert (choice.plugin, choice.distribution, choice.version) == ("plugin0", "dist0", "1.0")
    assert choice.make().steps == 9
    assert choice.make(steps=4).steps == 4
    assert known.get("attack", "still").make() == Still()


def test_of_presets_of_one_class_that_with_its_options_is_named() -> None:
    known = found(
        registering(("attack", "still_long", Still(steps=9)), ("attack", "brief", Still(steps=2)))
    )
    assert known.names_of(Still(steps=2)) == ["brief"]
    assert known.names_of(Still(steps=9)) == ["still_long"]
    assert known.names_of(Still(steps=5)) == [], "any of them may have been asked for it"
    known = found(registering(("attack", "still", Still), ("attack", "brief", Still(steps=2))))
    assert known.names_of(Still(steps=5)) == ["still"]


def test_unknown_names_suggest_the_nearest() -> None:
    known = found(registering(("attack", "still", Still)))
    with pytest.raises(ConfigError, match=r"got 'stil'; did you mean 'still'\?"):
        known.get("attack", "stil")
    with pytest.raises(ConfigError, match=r"did you mean 'steps'\?"):
        known.get("attack", "still").make(step=4)


class NotFrozen(robench.Attack):
    def run(self, twin: Any, images: Any, labels: Any, threat: Any, rng: Any) -> Any:
        return images


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (("atack", "x", Still), r"expected a kind among .*did you mean 'attack'\?"),
        (("attack", "Big-Name", Still), "lower_snake_case"),
        (("metric", "still", Still), "expected a subclass of robench.Metric"),
        (("attack", "loose", NotFrozen), "frozen=True"),
        (("attack", "thing", 3), "expected a subclass"),
    ],
)
def test_what_breaks_the_rules_is_skipped_with_its_reason(call: Any, reason: str) -> None:
    known = found(
        registering(("attack", "good", Still), call), registering(("attack", "ok", Still))
    )
    (broken,) = known.broken
    assert broken.plugin == "plugin0"
    assert re.search(reason, str(broken))
    assert set(known.choices["attack"]) == {"ok"}, "nothing of a broken plugin stays"


@dataclass(frozen=True, kw_only=True)
class Gauge(robench.Metric):
    """Measures nothing."""

    measures = ("cost_of_ownership",)

    def measure(self, evidence: Any) -> Any:
        return ()


def test_a_metric_may_not_measure_what_robench_computes() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Bad(Gauge):
        measures = ("fine", "Robust")

    @dataclass(frozen=True, kw_only=True)
    class Nameless(Gauge):
        measures = ()

    known = found(*(registering(("metric", "cost", one)) for one in (Gauge, Bad, Nameless)))
    assert [choice.plugin for choice in known.choices["metric"].values()] == ["plugin0"]
    assert [one.reason for one in known.broken] == [
        f"metric 'cost', expected metrics with names of their own, got {name!r}, which robench "
        "computes"
        for name in ("Robust", "cost")
    ]


def test_a_collision_is_the_newcomers_fault() -> None:
    known = found(registering(("attack", "still", Still)), registering(("attack", "still", Still)))
    (broken,) = known.broken
    assert (broken.plugin, known.get("attack", "still").plugin) == ("plugin1", "plugin0")
    assert "already registered by 'plugin0' of dist0" in str(broken)


def misspelt() -> ModuleType:
    @robench.hookimpl
    def robench_registre(register: Any) -> None:
        raise AssertionError("never called")

    return module(robench_registre=robench_registre)


def wrong_argument() -> ModuleType:
    @robench.hookimpl
    def robench_register(registry: Any) -> None:
        raise AssertionError("never called")

    return module(robench_register=robench_register)


def other_api() -> ModuleType:
    plugin = registering(("attack", "x", Still))
    plugin.ROBENCH_API_VERSION = robench.API_VERSION + 1  # type: ignore[attr-defined]
    return plugin


@pytest.mark.parametrize(
    ("plugin", "reason"),
    [
        (misspelt(), "robench_registre"),
        (wrong_argument(), "registry"),
        (module(), "implements no hook"),
        (other_api(), "made for version"),
    ],
)
def test_broken_plugins_are_named_and_the_rest_lives(plugin: ModuleType, reason: str) -> None:
    known = found(plugin, registering(("attack", "ok", Still)))
    (broken,) = known.broken
    assert reason in str(broken)
    assert "dist0 1.0" in str(broken)
    assert "\n" not in str(broken)
    assert set(known.choices["attack"]) == {"ok"}


def test_an_import_error_is_reported_not_raised() -> None:
    def load() -> ModuleType:
        raise ImportError("no module named\n  'gone'")

    known = discover([("bad", "bad-dist", "2", load)])
    assert "ImportError: no module named 'gone'" in str(known.broken[0])


def test_config_packages_are_collected() -> None:
    @robench.hookimpl
    def robench_config() -> str:
        return "tests.conf"

    assert found(module(robench_config=robench_config)).config_packages == {"tests.conf": "dist0"}


def test_choice_of_an_instance_knows_its_class() -> None:
    assert Choice("attack", "a", Still(), "p", "d", "1").cls is Still
