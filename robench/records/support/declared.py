"""Whether the options of a record's components are such as these components declare."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from robench.base.errors import ConfigError, UserError
from robench.base.hashing import canonical, plain
from robench.base.text import shortened
from robench.core.record import RUN_KINDS, Record
from robench.plugin.components import Attack
from robench.plugin.registry import Choice, registry
from robench.plugin.typed import read_options
from robench.records.retired import current

LONGEST = 200
"""Letters of a fault at most."""


def check_options(record: Record) -> tuple[str, ...]:
    """What of the options no component declares, or declares to be of another type, in words.

    Of components that are not installed here, or are in another version, nothing is said.
    """
    chosen = {kind: record.config[kind] for kind in RUN_KINDS}
    norm = record.config["threat"].get("norm")
    return _faults(json.dumps([chosen, norm, record.provenance.components]))


def read_recorded(cls: type, options: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The options of a dataclass as their types, from a record, which holds them as they were read.

    So "3" is no whole number there. Raises ConfigError naming the option.
    """
    read = read_options(cls, options, where, partial=True)
    for name, value in read.items():
        if (wanted := canonical(plain(value))) != (given := canonical(options[name])):
            raise ConfigError(
                f"expected {where}.{name} to be {shortened(wanted)}, got {shortened(given)}"
            )
    return read


@lru_cache(4096)
def _faults(asked: str) -> tuple[str, ...]:
    """Replicates differ in their seed alone, so that few are different."""
    chosen, norm, origins = json.loads(asked)
    known = registry().choices
    found = (
        _fault(known[kind][name], options, norm, origins.get(f"{kind}.{name}", ""))
        for kind, its in current(chosen).items()
        for name, options in its.items()
        if name in known[kind]
    )
    return tuple(shortened(one, LONGEST) for one in found if one)


def _fault(choice: Choice, options: Mapping[str, Any], norm: Any, origin: str) -> str:
    try:
        if _is_of(origin, choice, options.get("norm") or norm):
            read_recorded(choice.cls, options, f"{choice.kind}.{choice.name}")
    except UserError as error:
        return str(error)
    return ""


def _is_of(origin: str, choice: Choice, norm: str | None) -> bool:
    """Whether a component was made by this one: of this distribution, and in this version."""
    made = choice.make() if issubclass(choice.cls, Attack) else choice.cls
    version = made.version_in(norm) if isinstance(made, Attack) else made.version
    distribution, _, of = origin.rpartition(" / ")
    return of == version and distribution.rpartition(" ")[0] == choice.distribution
