"""The hooks a plugin may implement."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pluggy

from robench.plugin.components import Component

if TYPE_CHECKING:
    from robench.core.record import Record

API_VERSION = 1
"""Major version of what a plugin may import and implement; one made for another is refused."""

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


@hookspec
def robench_recorded(record: Record, folder: Path) -> None:
    """Called after a record is written, with its folder: log it, send it, plot it.

    What a plugin raises here is said in one line; the record stands.
    """


@hookspec
def robench_studies() -> Iterable[Any] | None:
    """Called when a study is asked for: the papers it reproduces, each a robench.studies.Study."""
