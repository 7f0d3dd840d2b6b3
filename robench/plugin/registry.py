"""Find plugins, collect their components, and say whose fault it is when one is broken."""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import Distribution, EntryPoint, entry_points
from types import ModuleType
from typing import Any

import pluggy

from robench.base.errors import ConfigError, PluginError
from robench.plugin import hooks
from robench.plugin.components import KINDS, Component

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
        """An instance: the preset or the defaults, with the given options changed."""
        known = {f.name for f in dataclasses.fields(self.cls)}
        for name in options:
            if name not in known:
                raise ConfigError(
                    f"expected an option of {self.kind}={self.name}, got {name!r}"
                    + suggestion(name, known)
                )
        if isinstance(self.component, type):
            return self.component(**options)
        return dataclasses.replace(self.component, **options)


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
    config_packages: list[str] = field(default_factory=list)
    studies: list[tuple[str, Callable[[], Any]]] = field(default_factory=list)
    """By plugin, the hook that makes its studies; called when one is asked for."""

    def get(self, kind: str, name: str) -> Choice:
        """A choice by kind and name; raises ConfigError with the nearest names."""
        choices = self.choices[kind]
        if name not in choices:
            raise ConfigError(
                f"expected {kind} to be one of {', '.join(sorted(choices))}, got {name!r}"
                + suggestion(name, choices)
            )
        return choices[name]

    def home(self, cls: type[Component]) -> Choice | None:
        """The choice under which a class is registered, a preset where it only has presets."""
        found = [c for choices in self.choices.values() for c in choices.values() if c.cls is cls]
        found.sort(key=lambda choice: (not isinstance(choice.component, type), choice.name))
        return found[0] if found else None

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

    def drop(self, plugin: str) -> None:
        """Forget all choices of a plugin."""
        for choices in self.choices.values():
            for name in [n for n, c in choices.items() if c.plugin == plugin]:
                del choices[name]


def suggestion(name: str, known: Iterable[str]) -> str:
    """'; did you mean X?' for the nearest known name, or nothing."""
    near = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {near[0]!r}?" if near else ""


@cache
def registry() -> Registry:
    """The registry of all installed plugins, discovered once per process."""
    disabled = {name.strip() for name in os.environ.get(DISABLE, "").split(",") if name.strip()}
    found = [
        point
        for point in entry_points(group=GROUP)
        if point.name not in disabled and _distribution(point)[0] not in disabled
    ]
    # robench's own plugins first, so that a duplicate name is the newcomer's fault.
    found.sort(key=lambda point: (_distribution(point)[0] != "robench", point.name))
    return discover((point.name, *_distribution(point), point.load) for point in found)


def discover(plugins: Iterable[tuple[str, str, str, Any]]) -> Registry:
    """Load plugins given as (name, distribution, version, loader); broken ones are set aside."""
    manager = pluggy.PluginManager("robench")
    manager.add_hookspecs(hooks)
    result = Registry()
    for name, distribution, version, load in plugins:
        try:
            _load(manager, result, name, distribution, version, load())
        except Exception as error:  # whatever a foreign module raises, the command line lives on
            result.drop(name)
            reason = " ".join(str(error).split()) or "no message"
            if not isinstance(error, PluginError):
                reason = f"{type(error).__name__}: {reason}"
            result.broken.append(Broken(name, f"{distribution} {version}", reason))
    return result


def _load(
    manager: pluggy.PluginManager,
    result: Registry,
    name: str,
    distribution: str,
    version: str,
    module: ModuleType,
) -> None:
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
            package = found["robench_config"].function()
            result.config_packages += [str(package)] if package else []
        if "robench_studies" in found:
            result.studies.append((name, found["robench_studies"].function))
    except Exception:
        manager.unregister(module)
        raise


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


def _distribution(point: EntryPoint) -> tuple[str, str]:
    dist: Distribution | None = point.dist
    return (dist.name, dist.version) if dist else ("unknown", "0")
