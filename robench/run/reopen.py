"""A run opened again without running it: for the verification, export and audit of records."""

from __future__ import annotations

from pathlib import Path

from robench.core.data import Data
from robench.plugin.evidence import Evidence
from robench.plugin.scenario import Scenario
from robench.run import attacks
from robench.run.cache import Cache
from robench.run.config import Places, RunConfig
from robench.run.evidence import RunEvidence
from robench.run.stages import Stages, stages


def evidence(config: RunConfig, places: Places, program: Path | None = None) -> Evidence:
    """The data and models of a run, nothing attacked; `program` stands for its network if given."""
    return RunEvidence(stages(config, places, Cache(places.cache), program))


def data(config: RunConfig, places: Places) -> Data:
    """The data set of a run."""
    return Stages(config, places, Cache(places.cache)).data


def scenarios(config: RunConfig, places: Places) -> list[Scenario]:
    """What a run attacks with."""
    return list(attacks.scenarios(Stages(config, places, Cache(places.cache))))


def is_trained(config: RunConfig, places: Places) -> bool:
    """Whether a run's network is in the cache."""
    return Stages(config, places, Cache(places.cache)).is_trained
