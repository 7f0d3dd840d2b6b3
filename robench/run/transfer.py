"""The configuration of the model on which a transfer attack searches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from robench.base.errors import ConfigError
from robench.plugin.components import Model
from robench.plugin.registry import Registry, registry
from robench.run.config import SEEDS, RunConfig, Transfer, names_of

SEED_STEP = 1_000
"""The seed of a transfer attack's surrogate is the run's own plus this, unless it is given."""


def source(config: RunConfig, transfer: Transfer) -> RunConfig:
    """The source's configuration: the run's own with what `transfer` changes.

    Raises ConfigError for choices that are not registered, or a model that only a command line may
    name.
    """
    chosen: dict[str, Any] = {"defense": "none", "compressor": "none", **transfer.source}
    seed = chosen.pop("seed", (config.seed + SEED_STEP) % SEEDS)
    if "python" in names_of(chosen.get("model")):
        raise ConfigError("expected a registered model as source: model=python is not allowed")
    changed: dict[str, Any] = {
        kind: _components(registry(), kind, value) for kind, value in chosen.items()
    }
    # A source is judged on nothing, so it keeps no protocol.
    free: dict[str, Any] = {"attack": {}, "metric": {}, "protocol": None}
    return replace(config, **changed, **free, seed=seed)


def parent(config: RunConfig, model: Model) -> RunConfig:
    """The configuration of a file's float parent: bare, on the run's own images."""
    bare: dict[str, Any] = {
        kind: _components(registry(), kind, "none") for kind in ("defense", "compressor")
    }
    return replace(config, model={"parent": model}, **bare, attack={}, metric={})


def uncompressed(config: RunConfig) -> RunConfig:
    """The configuration of the float network that a compressor makes a file of."""
    bare = _components(registry(), "compressor", "none")
    return replace(config, compressor=bare, attack={}, metric={})


def _components(known: Registry, kind: str, value: Any) -> dict[str, Any]:
    """Components from a choice's name, a list of names, or {name: {option: value}}."""
    given = value if isinstance(value, Mapping) else {name: {} for name in names_of(value)}
    return {name: known.get(kind, name).make(**(options or {})) for name, options in given.items()}
