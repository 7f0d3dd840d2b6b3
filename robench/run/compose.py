"""Compose a run with Hydra: registered components are typed nodes, YAML only presets."""

from __future__ import annotations

import copy
import dataclasses
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf

from robench.base.errors import ConfigError
from robench.base.hashing import canonical
from robench.base.paths import shipped
from robench.base.text import one_line, suggestion
from robench.core.record import RUN_KINDS
from robench.core.threat import ThreatConfig
from robench.plugin.registry import Choice, Registry, registry
from robench.plugin.typed import option_types, plain_defaults, read_options
from robench.records import protocols
from robench.records.protocols import Protocol
from robench.run.config import (
    ACCESS,
    AuditConfig,
    Places,
    RunConfig,
    Transfer,
    WhiteBox,
    joined,
)
from robench.run.plan import check_plan
from robench.training.recipe import TrainConfig

PROVIDER = "robench"
SEVERAL = (*RUN_KINDS, "access")
"""Groups whose choices stand side by side, each under its own name."""
SETTINGS = {"train": TrainConfig, "threat": ThreatConfig, "audit": AuditConfig}
"""Groups with one choice."""
PLACES = ("results", "cache", "data_root")
"""Settings that may read the environment: they are no part of a run's configuration."""
REFERENCE = re.compile(r"\$\{[A-Za-z0-9_.\[\]]+\}")
"""A reference to another setting, such as ${seed}."""
ORIGIN = re.compile(
    r"([A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?) ([0-9][A-Za-z0-9.+!_-]{0,62}) / .*"
)
"""A component's origin in a record; the names are such that a package index takes."""
REQUIRED = "???"
"""What Hydra shows for an option without a default."""


Chosen = dict[str, Any]


@dataclass
class Root:
    """The fields of a run: a mapping a kind, a node a setting, and the rest."""

    dataset: Chosen = field(default_factory=dict)
    model: Chosen = field(default_factory=dict)
    compressor: Chosen = field(default_factory=dict)
    defense: Chosen = field(default_factory=dict)
    attack: Chosen = field(default_factory=dict)
    metric: Chosen = field(default_factory=dict)
    access: Chosen = field(default_factory=dict)
    certifier: Chosen = field(default_factory=dict)
    train: Any = None
    threat: Any = None
    audit: Any = None
    # Numbers and texts are checked where all is composed, in words of our own.
    seed: Any = 0
    images: Any = None
    protocol: Any = None
    device: Any = "auto"
    threads: Any = None
    results: str = "${oc.env:ROBENCH_RESULTS,results}"
    cache: str = "${oc.env:ROBENCH_CACHE,cache}"
    data_root: str = "${oc.env:ROBENCH_DATA,data}"
    dry_run: bool = False
    json: bool = False
    quiet: bool = False
    again: bool = False


def store_nodes(known: Registry) -> None:
    """Put every component and every group of the core into Hydra's store."""
    store = ConfigStore.instance()
    store.store(name="root", node=Root, provider=PROVIDER)
    for kind in RUN_KINDS:
        for choice in known.choices[kind].values():
            _store_choice(store, choice)
    for group, nodes in _core_nodes().items():
        for name, node in nodes.items():
            package = f"{group}.{name}" if group in SEVERAL else group
            store.store(group=group, name=name, node=_node(group, name, node), package=package)


def _core_choices() -> Iterator[tuple[str, str]]:
    yield from ((group, name) for group, nodes in _core_nodes().items() for name in nodes)


def _core_nodes() -> dict[str, dict[str, Any]]:
    """The core's own choices, by group."""
    return {
        "access": {"white_box": WhiteBox(), "transfer": Transfer()},
        "train": {"usual": TrainConfig()},
        "threat": {
            "usual": ThreatConfig(),
            "l2_radii": ThreatConfig(norm="l2", eps=[0.25, 0.5, 0.75]),
        },
        "audit": {level: AuditConfig(level=level) for level in ("off", "quick", "full")},
    }


def norm_of(threat: str | None) -> str | None:
    """The norm of a choice of the core's for `threat`; None where it leaves the norm open."""
    node = _core_nodes()["threat"].get(threat or "")
    return node.norm if node else None


def _store_choice(store: ConfigStore, choice: Choice) -> None:
    package = f"{choice.kind}.{choice.name}"
    brings = choice.cls.brings if choice.kind == "defense" else {}  # type: ignore[attr-defined]
    node = _node(choice.kind, choice.name, choice.component)
    if not brings:
        store.store(choice.name, node, choice.kind, package, choice.distribution)
        return
    # A typed node cannot hold a defaults list, so a plain node before it makes the overrides.
    typed = f"{choice.kind}/_with_defaults"
    store.store(choice.name, node, typed, package, choice.distribution)
    overrides = [{f"override /{k}@_global_.{k}": value} for k, value in brings.items()]
    defaults = [f"/{typed}/{choice.name}@_global_.{package}", *overrides]
    bringing = OmegaConf.create({"defaults": defaults})
    store.store(choice.name, bringing, choice.kind, "_global_", choice.distribution)


def _node(kind: str, name: str, component: Any) -> DictConfig:
    """Hydra's node of a component or setting: the names of its options, their defaults plain.

    Types are read when all is composed: Hydra knows no Literal, and its errors name no choice.
    """
    defaults = plain_defaults(component)
    cls = component if isinstance(component, type) else type(component)
    options = [
        (name, Any, field(default_factory=partial(copy.copy, defaults.get(name, REQUIRED))))
        for name in option_types(cls)
    ]
    # A launcher's worker gets the class by value: what it stands for has to come along.
    stands_for = {STANDS_FOR: (kind, name)}
    node = dataclasses.make_dataclass(
        cls.__name__, options, namespace=stands_for, repr=False, eq=False
    )
    made: DictConfig = OmegaConf.structured(node)
    return made


STANDS_FOR = "__robench_choice__"
"""What the class of a node calls the (kind, choice) that it stands for."""


def _origin(composed: DictConfig, kind: str, name: str) -> Choice | type | None:
    """What a node stands for: a choice, or a class of the core's; None for plain options."""
    chosen = getattr(OmegaConf.get_type(composed[kind], name), STANDS_FOR, None)
    if chosen is None:
        return None
    return ACCESS[chosen[1]] if chosen[0] == "access" else registry().get(*chosen)


class PluginPresets(SearchPathPlugin):
    """Lets Hydra find the YAML presets that plugins ship."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append each plugin's package."""
        for package in preset_packages():
            search_path.append(provider=package, path=f"pkg://{package}")


@cache
def preset_packages() -> dict[str, set[str]]:
    """The packages of plugins' presets, each with the presets in it, as 'group/name'.

    One that has a preset of a name that is taken, by a component or another preset, is left out
    and named on stderr: Hydra would take it in the other's place.
    """
    known, found = registry(), {}
    taken = _presets_below([shipped("conf")]) | {f"{group}/{n}" for group, n in _core_choices()}
    taken |= {f"{kind}/{name}" for kind, own in known.choices.items() for name in own}
    for package in known.config_packages:
        spec = find_spec(package)
        folders = spec.submodule_search_locations if spec else None
        presets = _presets_below(map(Path, folders or ()))
        if both := sorted(presets & taken):
            text = f"expected presets of names of their own, got {both[0]}.yaml; rename it"
            print(f"robench: the presets of {package} are skipped: {text}", file=sys.stderr)  # noqa: T201
            continue
        taken |= presets
        found[package] = presets
    return found


def _presets_below(folders: Iterable[Path]) -> set[str]:
    files = ((folder, path) for folder in folders for path in folder.rglob("*.y*ml"))
    return {path.relative_to(folder).with_suffix("").as_posix() for folder, path in files}


def origin_of_preset(message: str) -> str:
    """'; PRESET is of the plugin package PACKAGE' for a preset that a message names, or nothing."""
    for package, presets in preset_packages().items():
        for preset in sorted(presets):
            if re.search(rf"(?<![\w/]){re.escape(preset)}(?!\w)", message):
                return f"; {preset} is of the plugin package {package}"
    return ""


def prepare() -> None:
    """Register components and presets with Hydra; call once before composing."""
    store_nodes(registry())
    Plugins.instance().register(PluginPresets)


def run_config(composed: DictConfig) -> tuple[RunConfig, Places]:
    """Turn a composed configuration into a checked run and its places.

    Raises ConfigError, and UserError for places that cannot be written.
    """
    known = {field.name for field in dataclasses.fields(Root)}
    if unknown := sorted(set(map(str, composed)) - known):
        raise ConfigError(
            f"expected settings among {', '.join(sorted(known))}, got {', '.join(unknown)}"
        )
    plain = _resolved(composed)
    parts: dict[str, Any] = {
        kind: {name: _made(kind, name, composed, plain) for name in plain[kind] or {}}
        for kind in SEVERAL
    }
    config = _checked(parts, plain)
    places = Places(
        results=Path(composed.results),
        cache=Path(composed.cache),
        data_root=Path(composed.data_root),
        device=composed.device,
        threads=composed.threads,
    )
    places.require_writable()
    return config, places


def plain_config(plain: Mapping[str, Any]) -> RunConfig:
    """The checked run of what registered choices compose, as plain data; raises like `run_config`.

    `plain` has the protocol as its file states it.
    """
    known = registry()
    parts: dict[str, Any] = {
        kind: {name: known.get(kind, name).typed(options) for name, options in plain[kind].items()}
        for kind in RUN_KINDS
    }
    parts["access"] = {
        name: ACCESS[name](**read_options(ACCESS[name], options, f"access.{name}", widen=True))
        for name, options in plain["access"].items()
    }
    return _checked(parts, plain)


def _checked(parts: Mapping[str, Any], plain: Mapping[str, Any]) -> RunConfig:
    settings: dict[str, Any] = {
        name: cls(**read_options(cls, plain[name] or {}, name, widen=True))
        for name, cls in SETTINGS.items()
    }
    settings["audit"] = joined(settings["audit"])
    settings |= {"seed": plain["seed"], "images": plain["images"]}
    config = RunConfig(**parts, **settings, protocol=_protocol(plain["protocol"]))
    check_plan(config)
    return config


def _protocol(composed: Any) -> Protocol | None:
    """The protocol of a composed configuration; raises ConfigError for other words than its own."""
    if composed is None:
        return None
    stated = composed if isinstance(composed, dict) else {"name": composed}
    protocol = protocols.get(str(stated.get("name")))
    if canonical(stated) != canonical(protocol.stated):
        raise ConfigError(
            f"expected protocol={protocol.name} as its file says, got changes of it; a protocol of "
            "your own is a file of your own"
        )
    return protocol


def _resolved(composed: DictConfig) -> dict[str, Any]:
    """All but the places, references replaced; raises ConfigError for what would read elsewhere.

    A resolver such as ${oc.env:HOME} would carry what it reads into the record.
    """
    kept = OmegaConf.masked_copy(composed, [str(key) for key in composed if key not in PLACES])
    for where, text in _texts(OmegaConf.to_container(kept, resolve=False), ""):
        if "${" in REFERENCE.sub("", text):
            raise ConfigError(
                f"expected plain values and references such as ${{seed}} for {where}, got "
                f"{one_line(text)!r}; only {', '.join(PLACES)} may read the environment"
            )
    plain: dict[str, Any] = OmegaConf.to_container(kept, resolve=True)  # type: ignore[assignment]
    return plain


def _texts(value: Any, where: str) -> Iterator[tuple[str, str]]:
    """Every text within plain data, keys included, and where it stands."""
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from _texts(one, f"{where}[{index}]")
    elif isinstance(value, dict):
        for key, one in value.items():
            yield where, str(key)
            yield from _texts(one, f"{where}.{key}" if where else str(key))


def _made(kind: str, name: str, composed: DictConfig, plain: Mapping[str, Any]) -> Any:
    """The component of a node."""
    origin = _origin(composed, kind, name)
    if origin is None:
        chosen = [n for n in plain[kind] if _origin(composed, kind, n)]
        fixed = f": protocol {plain['protocol']['name']} fixes them" if plain["protocol"] else ""
        raise ConfigError(
            f"expected {kind}.{name} to be a chosen {kind}, got options alone{fixed}; "
            f"choose it with {kind}={name} or {kind}=[{','.join([*chosen, name])}]"
        )
    given = {k: v for k, v in plain[kind][name].items() if v != REQUIRED}
    if isinstance(origin, Choice):
        return origin.typed(given)
    return origin(**read_options(origin, given, f"{kind}.{name}", widen=True))


def from_plain(plain: Mapping[str, Any], origins: Mapping[str, str] | None = None) -> RunConfig:
    """Rebuild a run from a record's configuration; only registered choices can be named.

    `origins` are the components of the record's provenance: with them the message names the
    distribution that is not installed. Raises ConfigError for anything unknown, and for
    model=python, whose code a record may not name.
    """
    chosen = {kind: _mapping(plain, kind) for kind in (*SEVERAL, *SETTINGS)}
    if "python" in chosen["model"]:
        raise ConfigError("expected a registered model, got model=python; run it again instead")
    if handed := [kind for kind in ("dataset", "model") if "given" in chosen[kind]]:
        raise ConfigError(
            f"expected registered components, got a {' and a '.join(handed)} handed over in "
            "Python; only the script that did so can make this record again"
        )
    parts: dict[str, Any] = {
        kind: {
            name: _choice(kind, name, origins or {}).make(**_mapping(chosen[kind], name))
            for name in chosen[kind]
        }
        for kind in RUN_KINDS
    }
    parts["access"] = {name: _access(chosen["access"], name) for name in chosen["access"]}
    settings = {
        name: cls(**read_options(cls, chosen[name], name)) for name, cls in SETTINGS.items()
    }
    numbers = read_options(_Numbers, {k: plain.get(k) for k in ("seed", "images")}, "config")
    protocol = protocols.named(plain.get("protocol"))
    return RunConfig(**parts, **settings, **numbers, protocol=protocol)


@dataclass(frozen=True)
class _Numbers:
    seed: int
    images: int | None


def _mapping(plain: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = plain.get(name)
    if not isinstance(found, Mapping):
        raise ConfigError(f"expected a configuration with {one_line(name)}, got {found!r:.80}")
    return found


def _access(chosen: Mapping[str, Any], name: str) -> Any:
    if name not in ACCESS:
        raise ConfigError(
            f"expected access among {', '.join(ACCESS)}, got {one_line(name)!r}"
            + suggestion(name, ACCESS)
        )
    cls = ACCESS[name]
    return cls(**read_options(cls, _mapping(chosen, name), f"access.{name}"))


def _choice(kind: str, name: str, origins: Mapping[str, str]) -> Choice:
    """A registered choice; raises ConfigError naming what it came with and is not installed."""
    known = registry()
    home = distribution_of(origins.get(f"{kind}.{name}", ""))
    if name not in known.choices[kind] and home:
        here = installed(home[0])
        state = f"installed as {here} without it" if here else "not installed"
        raise ConfigError(f"{kind} {one_line(name)} is of {' '.join(home)}, which is {state}")
    return known.get(kind, name)


def installed(distribution: str) -> str | None:
    """The version of an installed distribution."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def distribution_of(origin: str) -> tuple[str, str] | None:
    """Name and version in 'distribution version / component version', None for any other text."""
    found = ORIGIN.fullmatch(origin)
    return (found[1], found[2]) if found else None
