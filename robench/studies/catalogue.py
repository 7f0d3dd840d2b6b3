"""The studies that plugins bring, by name: as a rule their preset's."""

from __future__ import annotations

from robench.base.errors import ConfigError, PluginError
from robench.plugin.registry import registry, suggestion
from robench.studies.study import Study


def studies() -> dict[str, Study]:
    """Every study by name; raises PluginError for what is no study, or a name taken twice."""
    result: dict[str, Study] = {}
    for plugin, make in registry().studies:
        for study in make():
            if not isinstance(study, Study):
                raise PluginError(f"plugin {plugin!r}: expected a Study, got {study!r}")
            if study.name in result:
                raise PluginError(f"plugin {plugin!r}: the study {study.name!r} is there already")
            result[study.name] = study
    return result


def find(name: str) -> Study:
    """A study by name; raises ConfigError with the known ones."""
    known = studies()
    if name not in known:
        raise ConfigError(
            f"expected a study among {', '.join(known)}, got {name!r}" + suggestion(name, known)
        )
    return known[name]
