"""The words of a command that composes a configuration, told by composing it."""

from __future__ import annotations

import copy
import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from typing import Any

import hydra
from filelock import FileLock
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from robench.base.errors import UserError
from robench.base.hashing import canonical, digest
from robench.base.paths import cache_folder, shipped
from robench.base.text import one_line
from robench.collection.code import all_code
from robench.collection.sealed import read_sealed, write_sealed
from robench.collection.store import FOLDER
from robench.core.record import RUN_KINDS, SYSTEM_KINDS, run_id
from robench.plugin.registry import registry
from robench.plugin.typed import plain_defaults
from robench.records.protocols import CERTIFIED, Protocol
from robench.records.retired import current
from robench.run.compose import (
    SETTINGS,
    distribution_of,
    from_plain,
    installed,
    plain_config,
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
NUMBERS = ("seed", "images")
"""Settings that are in no group."""


def words_of(asked: str, origins: str) -> list[str] | str:
    """The overrides that compose a configuration, or why there are none; no overrides where its
    options have changed since. Both are JSON; `origins` says where each component comes from."""
    try:
        return _composing(json.loads(asked), json.loads(origins))
    except (UserError, HydraException, OmegaConfBaseException) as error:
        return one_line(error)


def _composing(plain: dict[str, Any], origins: dict[str, str]) -> list[str] | str:
    """The same; raises whatever stands in the way."""
    if needs := _needs(plain, origins):
        return needs
    now = current(plain)
    words = _words(from_plain(now, origins))
    return words if _composed(words) == run_id(now) else []


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
    usual = _usual()
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
    parsed = [_parsed(word) for word in words]
    groups = [one for one in parsed if "." not in one.key_or_group]
    chosen = [one for one in groups if one.key_or_group not in NUMBERS]
    options = [one for one in parsed if one not in chosen]
    plain = _assembled(chosen)
    if plain is not None and all(_set(plain, one) for one in options):
        return plain_config(plain).id
    composed = copy.deepcopy(_base(tuple(str(one.input_line) for one in chosen)))
    # What `hydra.compose` itself does after the choices, which take it 0.08 s each time.
    ConfigLoaderImpl._apply_overrides_to_config(options, composed)
    return run_config(composed)[0].id


def _assembled(chosen: Sequence[Override]) -> dict[str, Any] | None:
    """What choices compose, from what Hydra composes of each alone: groups do not see each other.

    A choice that changes other groups, as a protocol does, has less to say of these than a choice
    of theirs. Two such that speak of one group are composed together. None where one cannot stand
    alone.
    """
    usual, own = _alone(()), {one.key_or_group for one in chosen}
    parts: list[tuple[Override, ...]] = [(one,) for one in chosen]
    while usual is not None:
        plain, clash = dict(usual), None
        changed: dict[str, tuple[Override, ...]] = {}
        for its in parts:
            alone = _alone(tuple(str(one.input_line) for one in its))
            if alone is None:
                return None
            mine = {one.key_or_group for one in its}
            for group, value in alone.items():
                if group in mine or (group not in own and value != usual[group]):
                    clash = clash or (changed.get(group) and (changed[group], its))
                    plain[group], changed[group] = value, its
        if not clash:
            return copy.deepcopy(plain)
        both = [one for one in chosen if one in clash[0] or one in clash[1]]
        parts = [tuple(both), *(its for its in parts if its not in clash)]
    return None


@cache
def _alone(choices: tuple[str, ...]) -> dict[str, Any] | None:
    """What a choice composes, or the few that speak of one group, as plain data; none compose what
    is usual.

    It takes Hydra a tenth of a second, so the cache keeps it, where there is one: who looks at a
    record gets no folder.
    """
    if not cache_folder().is_dir():
        return _composed_alone(choices)
    kept = cache_folder() / FOLDER / f"composed-{digest([all_code(), choices])}"
    found = read_sealed(kept)
    if found is None:
        with _one_at_a_time():
            found = read_sealed(kept)
            if found is None:
                found = [_composed_alone(choices)]
                with suppress(OSError):
                    write_sealed(kept, found)
    plain: dict[str, Any] | None = found[0]
    return plain


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Other processes wait, and then find in the cache what this one composed."""
    lock = FileLock(cache_folder() / FOLDER / "composing")
    try:
        lock.acquire()
    except OSError:
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _composed_alone(choices: tuple[str, ...]) -> dict[str, Any] | None:
    try:
        found = _components(choices)
        config = plain_config(found) if found else run_config(copy.deepcopy(_base(choices)))[0]
    except (UserError, HydraException, OmegaConfBaseException):
        return None
    return {**config.plain(), "protocol": config.protocol and dict(config.protocol.stated)}


def _components(choices: tuple[str, ...]) -> dict[str, Any] | None:
    """What a choice of components composes: what is usual, but for their group, which has their
    options at their defaults. None where Hydra has more to do: a preset, or what brings others.
    """
    if len(choices) != 1:
        return None
    kind, value = _parsed(choices[0]).key_or_group, _parsed(choices[0]).value()
    known = registry().choices[kind] if kind in RUN_KINDS else {}
    names: list[Any] = value if isinstance(value, list) else [value]
    if not names or any(name not in known or _brings(kind, name) for name in names):
        return None
    options = {name: plain_defaults(known[name].component) for name in names}
    return {**_usual(), kind: options}


def _brings(kind: str, name: str) -> bool:
    return kind == "defense" and bool(registry().get(kind, name).cls.brings)  # type: ignore[attr-defined]


def _set(plain: dict[str, Any], option: Override) -> bool:
    """Set an option as Hydra would; False where only Hydra itself knows how."""
    value, place = option.value(), plain
    items = value if isinstance(value, list) else [value]
    if any(isinstance(one, dict | list) or "${" in str(one) for one in items):
        return False
    *before, last = option.key_or_group.split(".")
    for part in before:
        if not isinstance(place.get(part), dict):
            return False
        place = place[part]
    if isinstance(place.get(last), dict) or (last not in place and not option.is_force_add()):
        return False
    place[last] = value
    return True


@lru_cache(4096)
def _parsed(word: str) -> Override:
    """An override; most words stand in many commands."""
    return _parser().parse_override(word)


@cache
def _parser() -> OverridesParser:
    return OverridesParser.create()


def _prepare() -> None:
    """Tell Hydra of the components, once: it takes as long as composing."""
    if [id(registry())] != _TOLD:
        prepare()
        _TOLD[:] = [id(registry())]


_TOLD: list[int] = []
"""The registry whose components Hydra knows."""


@cache
def _usual() -> Mapping[str, Any]:
    return _alone(()) or run_config(copy.deepcopy(_base(())))[0].plain()


@cache
def _base(choices: tuple[str, ...]) -> DictConfig:
    """What choices alone compose."""
    _prepare()
    with hydra.initialize_config_dir(str(shipped("conf")), version_base="1.3"):
        return hydra.compose("config", list(choices))
