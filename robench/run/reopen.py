"""A run opened again without running it: for the verification, export and audit of records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robench.base.errors import ConfigError, UserError
from robench.core.record import SYSTEM_KINDS
from robench.core.threat import ThreatConfig
from robench.plugin.components import Component
from robench.plugin.evidence import Evidence
from robench.plugin.registry import registry
from robench.plugin.scenario import Scenario
from robench.records import protocols
from robench.records.retired import current
from robench.run import attacks
from robench.run.cache import Cache
from robench.run.config import ACCESS, AuditConfig, Places, RunConfig
from robench.run.evidence import RunEvidence
from robench.run.examination import subset
from robench.run.stages import Stages, stages
from robench.training.recipe import TrainConfig

if TYPE_CHECKING:
    from torch import Tensor


def evidence(config: RunConfig, places: Places, kept: Path | None = None) -> Evidence:
    """The data and models of a run, nothing attacked; `kept` stands for its network if given."""
    return RunEvidence(stages(config, places, Cache(places.cache), kept))


def kept_stages(config: RunConfig, places: Places, kept: Path) -> Stages:
    """The stages of a run on the model that its record kept."""
    return stages(config, places, Cache(places.cache), kept)


def system_config(plain: Mapping[str, Any]) -> tuple[RunConfig, dict[str, str]]:
    """What of a record's configuration makes its model, and the attacks and certifiers known here.

    Returns too what is not known here, by name, with the reason. Raises ConfigError where the data
    or the model cannot be made: handed over in Python, a plugin's that is not installed, or no
    configuration at all.
    """
    if "python" in plain.get("model", {}):
        raise ConfigError("expected a registered model, got one of the author's own code")
    if handed := [kind for kind in ("dataset", "model") if "given" in plain.get(kind, {})]:
        raise ConfigError(f"its {' and its '.join(handed)} were handed over in Python")
    unknown: dict[str, str] = {}
    try:
        parts: dict[str, Any] = {
            kind: {name: _component(kind, name, fields) for name, fields in plain[kind].items()}
            for kind in SYSTEM_KINDS
        }
        judging = ("attack", "certifier")
        parts |= {kind: _known(kind, current(plain)[kind], unknown) for kind in judging}
        parts["access"] = {name: ACCESS[name](**fields) for name, fields in plain["access"].items()}
        parts["train"] = TrainConfig(**plain["train"])
        parts["threat"] = ThreatConfig(**plain["threat"])
        # The checks of plugins are the author's.
        parts["audit"] = replace(AuditConfig(**plain["audit"]), checks=())
        parts["protocol"] = protocols.named(plain.get("protocol"))
        config = RunConfig(**parts, seed=plain["seed"], images=plain["images"], metric={})
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ConfigError(f"expected a run's configuration, got {error!r}") from error
    return config, unknown


def _known(kind: str, plain: Mapping[str, Any], unknown: dict[str, str]) -> dict[str, Component]:
    """The components that can be made here; the others' reasons go to `unknown`."""
    known = {}
    for name, fields in plain.items():
        try:
            known[name] = _component(kind, name, fields)
        except UserError as error:
            unknown[name] = str(error)
    return known


def _component(kind: str, name: str, fields: Mapping[str, Any]) -> Component:
    return registry().get(kind, name).make(**fields)


def is_trained(config: RunConfig, places: Places) -> bool:
    """Whether a run's network is in the cache."""
    return stages(config, places, Cache(places.cache)).is_trained


def asked(stages: Stages) -> list[Scenario]:
    """What a reopened run attacks with, as far as its attacks are known here."""
    return attacks.rows(stages)


def audited(stages: Stages) -> Tensor:
    """Which of a reopened run's judged images its audit works on: positions, int64."""
    return subset(stages)
