"""The command that makes a record again: composed first, given only when its id is the same."""

from __future__ import annotations

import copy
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import hydra
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from robench.base.errors import UserError
from robench.base.hashing import canonical
from robench.base.paths import shipped
from robench.base.text import one_line, visible
from robench.core.record import RUN_KINDS, SYSTEM_KINDS, Record, run_id
from robench.plugin.registry import registry
from robench.plugin.typed import plain_defaults
from robench.records.protocols import CERTIFIED, Protocol
from robench.records.retired import current
from robench.run.compose import (
    SETTINGS,
    distribution_of,
    from_plain,
    installed,
    prepare,
    run_config,
)
from robench.run.config import ACCESS, AuditConfig, RunConfig, joined

NAMED = (*SYSTEM_KINDS, "attack")
"""Groups that a command names even where it need not."""
KINDS = (*RUN_KINDS, "access")
FIXED = ("dataset", "attack", "access", "threat")
"""Groups that a protocol chooses, so that a command under one names none of them."""
BARE = re.compile(r"(?!(?:null|true|false|nan|inf)$)[A-Za-z_][A-Za-z0-9_./-]*", re.IGNORECASE)
"""Texts that Hydra reads as text without quotes."""
MOST_THREADS = 1024


@dataclass(frozen=True)
class Again:
    """How a record is made again: a command, or why there is none."""

    command: str | None = None
    reason: str = ""


def again(record: Record) -> Again:
    """The command that makes a record again, from its checked configuration.

    Of a record with retired options it is that of the same run without them, which has another id.
    """
    origins = record.provenance.components
    if any(origin.startswith("given in Python") for origin in origins.values()):
        return Again(reason="a component was handed over in Python, which no command can name")
    try:
        if needs := _needs(record.config, origins):
            return Again(reason=needs)
        asked = current(record.config)
        config = from_plain(asked, origins)
        words = _words(config)
        if record.id != run_id(record.config) or _composed(words) != run_id(asked):
            return Again(reason="its options have changed since, and so has the id they give")
    except (UserError, HydraException, OmegaConfBaseException, RecursionError) as error:
        return Again(reason=one_line(error))
    threads = record.provenance.threads
    words += [f"threads={threads}"] if 0 < threads <= MOST_THREADS else []
    line = shlex.join(["robench", "run", *words])
    if one_line(line) != line or visible(line) != line:
        return Again(reason="an option holds characters that no terminal shows")
    return Again(line)


def _needs(plain: Mapping[str, Any], origins: Mapping[str, str]) -> str:
    """What must be installed before the record can be made again, or nothing."""
    known = registry().choices
    absent = [
        (f"{kind} {one_line(name)}", origins.get(f"{kind}.{name}", ""))
        for kind in RUN_KINDS
        if isinstance(plain.get(kind), Mapping)
        for name in plain[kind]
        if name not in known[kind]
    ]
    homes = {distribution_of(origin) for _, origin in absent}
    if not absent or None in homes or any(installed(home[0]) for home in homes if home):
        return ""
    packages = sorted(f"{home[0]}=={home[1]}" for home in homes if home)
    names = ", ".join(name for name, _ in absent)
    return f"{names} must be installed first: {shlex.join(['pip', 'install', *packages])}"


def _words(config: RunConfig) -> list[str]:
    """Overrides that compose this configuration, from its plain form."""
    plain, protocol = config.plain(), config.protocol
    fixed = FIXED if protocol else ()
    groups = {kind: list(plain[kind]) for kind in KINDS if kind not in fixed}
    words = [f"protocol={protocol.name}"] if protocol else []
    words += [f"{kind}={_choices(groups[kind])}" for kind in _named(config, groups)]
    brings_threat = any("threat" in defense.brings for defense in config.defense.values())
    words += ["threat=usual"] if brings_threat and not protocol else []
    words += [f"audit={_text(config.audit.level)}"]
    for kind, names in groups.items():
        for name in names:
            words += _changed(f"{kind}.{name}", plain[kind][name], _own(kind, name, protocol))
    defaults = {name: plain_defaults(cls) for name, cls in SETTINGS.items() if name not in fixed}
    defaults["audit"] = plain_defaults(joined(AuditConfig(level=config.audit.level)))
    for name, own in defaults.items():
        words += _changed(name, plain[name], own)
    words += [f"seed={config.seed}"]
    return words + ([] if config.images is None or protocol else [f"images={config.images}"])


def _named(config: RunConfig, groups: Mapping[str, list[str]]) -> Iterator[str]:
    """Of the groups that are not fixed, those that the command names."""
    brought = {group for defense in config.defense.values() for group in defense.brings}
    usual = _usual().plain()
    for kind, names in groups.items():
        if kind in {*NAMED, *brought} or names != list(usual[kind]):
            yield kind


def _own(kind: str, name: str, protocol: Protocol | None) -> Mapping[str, Any]:
    """The options that a choice has before the command changes any."""
    if protocol and protocol.certified is not None and (kind, name) == ("metric", CERTIFIED):
        return protocol.certified
    own = ACCESS[name] if kind == "access" else registry().get(kind, name).component
    return plain_defaults(own)


def _choices(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"[{','.join(names)}]"


def _changed(where: str, options: Mapping[str, Any], defaults: Mapping[str, Any]) -> Iterator[str]:
    """An override for each option that is not at its default."""
    for name, value in options.items():
        # As text, so that 1 is not taken for 1.0, which give other ids.
        if name not in defaults or canonical(value) != canonical(defaults[name]):
            yield from _override(f"{where}.{name}", value)


def _override(where: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for name, one in value.items():
            yield from _override(f"{where}.{name}", one)
    else:
        # Hydra takes new entries of a mapping with two plus signs alone.
        plus = "++" if where.count(".") > 2 or isinstance(value, dict) else ""
        yield f"{plus}{where}={_text(value)}"


def _text(value: Any) -> str:
    """A plain value as Hydra's grammar has it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = value.replace("'", r"\'")
        return value if BARE.fullmatch(value) else f"'{escaped}'"
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{_text(k)}:{_text(v)}" for k, v in value.items()) + "}"
    return repr(value)


def _composed(words: list[str]) -> str:
    """The id of the run that overrides compose."""
    parsed = _parser().parse_overrides(words)
    groups = [one.input_line for one in parsed if "." not in one.key_or_group]
    chosen = tuple(str(line) for line in groups if not str(line).startswith(("seed=", "images=")))
    composed = copy.deepcopy(_base(chosen))
    options = [one for one in parsed if str(one.input_line) not in chosen]
    # What `hydra.compose` itself does after the choices, which take it 0.08 s each time.
    ConfigLoaderImpl._apply_overrides_to_config(options, composed)
    return run_config(composed)[0].id


@cache
def _parser() -> OverridesParser:
    return OverridesParser.create()


@cache
def _usual() -> RunConfig:
    return run_config(copy.deepcopy(_base(())))[0]


@cache
def _base(choices: tuple[str, ...]) -> DictConfig:
    """What choices alone compose."""
    prepare()
    with hydra.initialize_config_dir(str(shipped("conf")), version_base="1.3"):
        return hydra.compose("config", list(choices))
