"""The studies that plugins bring, by name: as a rule their preset's."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from robench.base.errors import ConfigError, PluginError
from robench.base.text import suggestion
from robench.plugin.registry import fault, registry
from robench.studies.study import Study


def studies() -> dict[str, Study]:
    """Every study by name; raises PluginError for what is no study, or a name taken twice."""
    result: dict[str, Study] = {}
    for plugin, make in registry().studies:
        for study in _of(plugin, make):
            if not isinstance(study, Study):
                raise PluginError(f"plugin {plugin!r}: expected a Study, got {study!r}")
            if study.name in result:
                raise PluginError(f"plugin {plugin!r}: the study {study.name!r} is there already")
            result[study.name] = study
    return result


def _of(plugin: str, make: Callable[[], Iterable[object] | None]) -> list[object]:
    found: list[object] = []
    if words := fault(lambda: found.extend(make() or ())):
        raise PluginError(f"plugin {plugin!r}: its studies fail: {words}")
    return found


def find(name: str) -> Study:
    """A study by name; raises ConfigError with the known ones."""
    known = studies()
    if name not in known:
        raise ConfigError(
            f"expected a study among {', '.join(known)}, got {name!r}" + suggestion(name, known)
        )
    return known[name]
