"""Compose a run with Hydra: registered components are typed nodes, YAML only presets."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf

from robench.base.errors import ConfigError
from robench.core.record import RUN_KINDS
from robench.core.threat import ThreatConfig
from robench.plugin.registry import Choice, Registry, registry
from robench.run.config import AuditConfig, Places, RunConfig, Transfer, WhiteBox, joined
from robench.training.recipe import TrainConfig

PROVIDER = "robench"
SEVERAL = (*RUN_KINDS, "access")
"""Groups whose choices stand side by side, each under its own name."""
ACCESS = {"white_box": WhiteBox, "transfer": Transfer}
SETTINGS = ("train", "threat", "audit")
"""Groups with one choice."""


Chosen = dict[str, Any]


@dataclass
class Root:
    """The fields of a run: a mapping a kind, a node a setting, and the rest."""

    dataset: Chosen = dataclasses.field(default_factory=dict)
    model: Chosen = dataclasses.field(default_factory=dict)
    compressor: Chosen = dataclasses.field(default_factory=dict)
    defense: Chosen = dataclasses.field(default_factory=dict)
    attack: Chosen = dataclasses.field(default_factory=dict)
    metric: Chosen = dataclasses.field(default_factory=dict)
    access: Chosen = dataclasses.field(default_factory=dict)
    certifier: Chosen = dataclasses.field(default_factory=dict)
    train: Any = None
    threat: Any = None
    audit: Any = None
    seed: int = 0
    images: Optional[int] = None
    device: str = "auto"
    threads: Optional[int] = None
    results: str = "${oc.env:ROBENCH_RESULTS,results}"
    cache: str = "${oc.env:ROBENCH_CACHE,cache}"
    data_root: str = "${oc.env:ROBENCH_DATA,data}"
    dry_run: bool = False
    json: bool = False


def store_nodes(known: Registry) -> None:
    """Put every component and every group of the core into Hydra's store."""
    store = ConfigStore.instance()
    store.store(name="root", node=Root, provider=PROVIDER)
    for kind in RUN_KINDS:
        for choice in known.choices[kind].values():
            _store_choice(store, choice)
    core: dict[str, dict[str, Any]] = {
        "access": {"white_box": WhiteBox(), "transfer": Transfer()},
        "train": {"usual": TrainConfig()},
        "threat": {
            "usual": ThreatConfig(),
            "l2_radii": ThreatConfig(norm="l2", eps=[0.25, 0.5, 0.75]),
        },
        "audit": {level: AuditConfig(level=level) for level in ("off", "quick", "full")},
    }
    for group, nodes in core.items():
        for name, node in nodes.items():
            package = f"{group}.{name}" if group in SEVERAL else group
            store.store(group=group, name=name, node=_node(node), package=package)


def _store_choice(store: ConfigStore, choice: Choice) -> None:
    package = f"{choice.kind}.{choice.name}"
    brings = choice.cls.brings if choice.kind == "defense" else {}  # type: ignore[attr-defined]
    if not brings:
        store.store(choice.name, _node(choice.component), choice.kind, package, choice.distribution)
        return
    # A typed node cannot hold a defaults list, so a plain node before it makes the overrides.
    typed = f"{choice.kind}/_with_defaults"
    store.store(choice.name, _node(choice.component), typed, package, choice.distribution)
    overrides = [{f"override /{k}@_global_.{k}": value} for k, value in brings.items()]
    defaults = [f"/{typed}/{choice.name}@_global_.{package}", *overrides]
    node = OmegaConf.create({"defaults": defaults})
    store.store(choice.name, node, choice.kind, "_global_", choice.distribution)


def _node(component: Any) -> DictConfig:
    node: DictConfig = OmegaConf.structured(component)
    # A frozen dataclass makes a read-only node, which would refuse every override.
    OmegaConf.set_readonly(node, None)
    return node


class PluginPresets(SearchPathPlugin):
    """Lets Hydra find the YAML presets that plugins ship."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append each plugin's package."""
        for package in registry().config_packages:
            search_path.append(provider=package, path=f"pkg://{package}")


def prepare() -> None:
    """Register components and presets with Hydra; call once before composing."""
    store_nodes(registry())
    Plugins.instance().register(PluginPresets)


def run_config(composed: DictConfig) -> tuple[RunConfig, Places]:
    """Turn a composed configuration into a checked run and its places; raises ConfigError."""
    known = {field.name for field in dataclasses.fields(Root)}
    if unknown := sorted(set(map(str, composed)) - known):
        raise ConfigError(
            f"expected settings among {', '.join(sorted(known))}, got {', '.join(unknown)}"
        )
    parts: dict[str, Any] = {kind: _objects(kind, composed.get(kind)) for kind in SEVERAL}
    settings: dict[str, Any] = {name: OmegaConf.to_object(composed[name]) for name in SETTINGS}
    settings["audit"] = joined(settings["audit"])
    config = RunConfig(**parts, **settings, seed=composed.seed, images=composed.images)
    places = Places(
        results=Path(composed.results),
        cache=Path(composed.cache),
        data_root=Path(composed.data_root).expanduser(),
        device=composed.device,
        threads=composed.threads,
    )
    return config, places


def _objects(kind: str, nodes: Any) -> dict[str, Any]:
    chosen = {}
    for name in nodes or {}:
        node = OmegaConf.to_object(nodes[name])
        if not dataclasses.is_dataclass(node):
            raise ConfigError(
                f"expected {kind}.{name} to be a chosen {kind}, got options alone; "
                f"choose it with {kind}={name} or {kind}=[...,{name}]"
            )
        _require_finite(f"{kind}.{name}", vars(node))
        chosen[name] = node
    return chosen


def _require_finite(where: str, options: Mapping[str, Any]) -> None:
    """Refuse with ConfigError NaN and infinities, which no record can hold."""
    for name, value in options.items():
        for number in value if isinstance(value, list | tuple) else [value]:
            if isinstance(number, float) and not math.isfinite(number):
                raise ConfigError(f"expected finite numbers for {where}.{name}, got {value}")


def from_plain(plain: Mapping[str, Any]) -> RunConfig:
    """Rebuild a run from a record's configuration; only registered choices can be named.

    Raises ConfigError for anything unknown, and for model=python, whose code a record may not name.
    """
    if "python" in plain.get("model", {}):
        raise ConfigError("expected a registered model, got model=python; run it again instead")
    if handed := [kind for kind in ("dataset", "model") if "given" in plain.get(kind, {})]:
        raise ConfigError(
            f"expected registered components, got a {' and a '.join(handed)} handed over in "
            "Python; only the script that did so can make this record again"
        )
    known = registry()
    parts: dict[str, Any] = {
        kind: {name: known.get(kind, name).make(**fields) for name, fields in plain[kind].items()}
        for kind in RUN_KINDS
    }
    parts["access"] = {name: ACCESS[name](**fields) for name, fields in plain["access"].items()}
    settings: dict[str, Any] = {
        "train": TrainConfig(**plain["train"]),
        "threat": ThreatConfig(**plain["threat"]),
        "audit": AuditConfig(**plain["audit"]),
    }
    return RunConfig(**parts, **settings, seed=plain["seed"], images=plain["images"])
