"""The hooks a plugin may implement."""

from __future__ import annotations

from typing import Protocol

import pluggy

from robench.components import Component

hookspec = pluggy.HookspecMarker("robench")
hookimpl = pluggy.HookimplMarker("robench")


class Register(Protocol):
    """Register a component class, or an instance of one as a preset, under a choice's name."""

    def __call__(self, kind: str, name: str, component: type[Component] | Component) -> None:
        """Raise PluginError for an unknown kind, a bad name, a collision or a wrong class."""


@hookspec
def robench_register(register: Register) -> None:
    """Called once per plugin at start-up: register its components."""


@hookspec
def robench_config() -> str | None:
    """Called once per plugin at start-up: the package that holds its YAML presets, if any."""
