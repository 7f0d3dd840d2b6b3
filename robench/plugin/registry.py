"""Find plugins, collect their components, and say whose fault it is when one is broken."""

from __future__ import annotations

import dataclasses
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.metadata import Distribution, EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pluggy

from robench.base.errors import ConfigError, PluginError, RobenchError
from robench.base.hashing import plain_options
from robench.base.signals import Signals
from robench.base.text import one_line, reason, suggestion
from robench.core.names import is_computed
from robench.plugin import hooks
from robench.plugin.components import KINDS, Component
from robench.plugin.declared import check_declared
from robench.plugin.typed import check_options, read_options

if TYPE_CHECKING:
    from robench.core.record import Record

GROUP = "robench"
DISABLE = "ROBENCH_DISABLE_PLUGINS"


@dataclass(frozen=True)
class Choice:
    """A registered component: a class, or an instance of one as a preset, and where it is from."""

    kind: str
    name: str
    component: type[Component] | Component
    plugin: str
    distribution: str
    version: str

    @property
    def cls(self) -> type[Component]:
        """The component's class."""
        return self.component if isinstance(self.component, type) else type(self.component)

    def make(self, **options: Any) -> Component:
        """An instance: the preset or the defaults, with the given options changed.

        Options are typed values, or plain ones as a record holds them. Raises ConfigError.
        """
        return self._made(options, widen=False)

    def typed(self, options: Mapping[str, Any]) -> Component:
        """As `make`, from what people write: a whole number given for a float becomes one."""
        return self._made(options, widen=True)

    def _made(self, options: Mapping[str, Any], *, widen: bool) -> Component:
        name = f"{self.kind}.{self.name}"
        try:
            if not isinstance(self.component, type):
                given = read_options(self.cls, options, name, widen=widen, partial=True)
                return dataclasses.replace(self.component, **given)
            return self.component(**read_options(self.cls, options, name, widen=widen))
        except RobenchError:
            raise
        except Exception as error:  # `__post_init__` is foreign code
            raise PluginError(
                f"{self.kind}={self.name} of {self.distribution} {self.version} failed: "
                f"{reason(error)}"
            ) from error


@dataclass(frozen=True)
class Broken:
    """A plugin that was skipped, and why."""

    plugin: str
    distribution: str
    reason: str

    def __str__(self) -> str:
        return (
            f"plugin {self.plugin!r} of {self.distribution} is skipped: {self.reason}; "
            f"repair or uninstall it, or set {DISABLE}={self.plugin}"
        )


@dataclass
class Registry:
    """All choices of all kinds, and the plugins that could not be used."""

    choices: dict[str, dict[str, Choice]] = field(default_factory=lambda: {k: {} for k in KINDS})
    broken: list[Broken] = field(default_factory=list)
    config_packages: dict[str, str] = field(default_factory=dict)
    """By package of presets, the distribution that ships it."""
    studies: list[tuple[str, Callable[[], Any]]] = field(default_factory=list)
    """By plugin, the hook that makes its studies; called when one is asked for."""
    trackers: list[tuple[str, Callable[[Record, Path], Any]]] = field(default_factory=list)
    """By plugin, the hook that is told of every record that was written."""

    def get(self, kind: str, name: str) -> Choice:
        """A choice by kind and name; raises ConfigError with the nearest names."""
        choices = self.choices[kind]
        if name not in choices:
            known = f"one of {', '.join(sorted(choices))}" if choices else "a registered one"
            raise ConfigError(
                f"expected {kind} to be {known}, got {one_line(name)[:80]!r}"
                + suggestion(name, choices)
            )
        return choices[name]

    def home(self, cls: type[Component]) -> Choice | None:
        """The choice under which a class is registered, a preset where it only has presets."""
        found = [c for choices in self.choices.values() for c in choices.values() if c.cls is cls]
        found.sort(key=lambda choice: (not isinstance(choice.component, type), choice.name))
        return found[0] if found else None

    def names_of(self, component: Component) -> list[str]:
        """The choices that are a component: that of its class, or the presets with its options."""
        choices = [
            choice
            for known in self.choices.values()
            for choice in known.values()
            if choice.cls is type(component)
        ]
        if len(choices) > 1:
            mine = plain_options(component)
            presets = [c for c in choices if not isinstance(c.component, type)]
            same = [c for c in presets if plain_options(c.component) == mine]
            choices = same or [c for c in choices if c not in presets]
        return [choice.name for choice in choices]

    def joining_checks(self, level: str) -> list[str]:
        """Names of the registered checks that run by themselves at a level of the audit."""
        checks = self.choices["check"].items()
        return sorted(name for name, choice in checks if level in choice.cls.levels)  # type: ignore[attr-defined]

    def add(self, choice: Choice) -> None:
        """Add a choice; raises PluginError when it breaks the rules or its name is taken."""
        _check(choice)
        taken = self.choices[choice.kind].get(choice.name)
        if taken is not None:
            raise PluginError(
                f"{choice.kind} {choice.name!r} is already registered by {taken.plugin!r} of "
                f"{taken.distribution}; choose another name"
            )
        self.choices[choice.kind][choice.name] = choice

    def drop(self, plugin: str, distribution: str) -> None:
        """Forget all choices of a plugin."""
        origin = (plugin, distribution)
        for choices in self.choices.values():
            for name in [n for n, c in choices.items() if (c.plugin, c.distribution) == origin]:
                del choices[name]


_HERE = threading.local()
"""Whether this thread is discovering plugins."""


@cache
def registry() -> Registry:
    """The registry of all installed plugins, discovered once per process.

    Raises PluginError while it is being filled.
    """
    if getattr(_HERE, "discovering", False):
        raise PluginError(
            "expected no call of registry() while plugins are imported and register; "
            "call it inside a component's method"
        )
    disabled = {name.strip() for name in os.environ.get(DISABLE, "").split(",") if name.strip()}
    found = [
        point
        for point in entry_points(group=GROUP)
        if point.name not in disabled and _distribution(point)[0] not in disabled
    ]
    # robench's own plugins first, so that a duplicate name is the newcomer's fault.
    found.sort(key=lambda point: (_distribution(point)[0] != "robench", point.name))
    _HERE.discovering = True
    try:
        return discover((point.name, *_distribution(point), point.load) for point in found)
    finally:
        _HERE.discovering = False


def discover(plugins: Iterable[tuple[str, str, str, Any]]) -> Registry:
    """Load plugins given as (name, distribution, version, loader); broken ones are set aside."""
    manager = pluggy.PluginManager("robench")
    manager.add_hookspecs(hooks)
    result = Registry()
    for name, distribution, version, load in plugins:
        if words := fault(partial(_load, manager, result, name, distribution, version, load)):
            result.drop(name, distribution)
            result.broken.append(Broken(name, f"{distribution} {version}", words))
    return result


def fault(work: Callable[[], None]) -> str:
    """Why a plugin's code failed, in one line, or nothing; Ctrl-C still interrupts."""
    signals, words = Signals(), ""
    try:
        work()
    except PluginError as error:
        words = one_line(error) or "no message"
    # Whatever foreign code raises, its own exit included, the command line lives on.
    except BaseException as error:
        words = reason(error)
    signals.put_back()
    if signals.raised is not None:
        raise signals.raised
    return words


def _load(
    manager: pluggy.PluginManager,
    result: Registry,
    name: str,
    distribution: str,
    version: str,
    load: Callable[[], ModuleType],
) -> None:
    module = load()
    made_for = getattr(module, "ROBENCH_API_VERSION", hooks.API_VERSION)
    if made_for != hooks.API_VERSION:
        raise PluginError(
            f"made for version {made_for} of robench's API, this is {hooks.API_VERSION}"
        )
    manager.register(module, name)
    try:
        manager.check_pending()
        found = {impl.function.__name__: impl for impl in _impls(manager, module)}
        if not found:
            raise PluginError("implements no hook; expected robench_register")
        if "robench_register" in found:

            def register(kind: str, choice: str, component: type[Component] | Component) -> None:
                result.add(Choice(kind, choice, component, name, distribution, version))

            found["robench_register"].function(register)
        if "robench_config" in found:
            package = _presets(found["robench_config"].function())
            result.config_packages |= dict.fromkeys(package, distribution)
        if "robench_studies" in found:
            result.studies.append((name, found["robench_studies"].function))
        if "robench_recorded" in found:
            result.trackers.append((name, found["robench_recorded"].function))
    except BaseException:
        manager.unregister(module)
        raise


def _presets(package: Any) -> list[str]:
    """The package of YAML presets that a plugin names, if any; raises PluginError."""
    if not package:
        return []
    try:
        if find_spec(package) is not None:
            return [package]
    except (ImportError, AttributeError, TypeError, ValueError):
        pass  # what is no package's name ends as one that does not exist
    raise PluginError(
        f"expected robench_config to name an installed package of presets, got {package!r}"
    )


def _impls(manager: pluggy.PluginManager, module: ModuleType) -> list[pluggy.HookImpl]:
    callers = manager.get_hookcallers(module) or []
    return [i for caller in callers for i in caller.get_hookimpls() if i.plugin is module]


def _check(choice: Choice) -> None:
    if choice.kind not in KINDS:
        raise PluginError(
            f"expected a kind among {', '.join(KINDS)}, got {choice.kind!r}"
            + suggestion(choice.kind, KINDS)
        )
    if not re.fullmatch(r"[a-z][a-z0-9_]*", choice.name):
        raise PluginError(f"expected a lower_snake_case name, got {choice.name!r}")
    base = KINDS[choice.kind]
    if not issubclass(choice.cls, base):
        raise PluginError(f"{choice.name!r}: expected a subclass of robench.{base.__name__}")
    params = getattr(choice.cls, "__dataclass_params__", None)
    if "__dataclass_fields__" not in vars(choice.cls) or params is None or not params.frozen:
        raise PluginError(f"{choice.name!r}: expected @dataclass(frozen=True, kw_only=True)")
    try:
        check_declared(choice.cls, choice.kind)
        check_options(choice.component)
        _check_measures(choice)
    except PluginError as error:
        raise PluginError(f"{choice.kind} {choice.name!r}, {error}") from error


def _check_measures(choice: Choice) -> None:
    """Raise PluginError for a metric that measures what robench computes itself."""
    # Without a list of them a metric's values are called as its choice is.
    names = getattr(choice.cls, "measures", ()) or (choice.name,)
    for name in names if choice.kind == "metric" else ():
        if is_computed(name):
            raise PluginError(
                f"expected metrics with names of their own, got {name!r}, which robench computes"
            )


def _distribution(point: EntryPoint) -> tuple[str, str]:
    return _named(point.dist) if point.dist else ("unknown", "0")


@cache
def _named(distribution: Distribution) -> tuple[str, str]:
    # Each of the two reads and parses the whole file of metadata.
    return distribution.name, distribution.version
