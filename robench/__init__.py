"""robench: how robust is the network you actually ship?

The names below, and those of the packages `robench.search`, `.integer`, `.smoothing`, `.graph`,
`.shipped`, `.studies` and `.testing`, are what a plugin may import. They load when first used, so
that importing robench costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robench.base.errors import ConfigError as ConfigError
    from robench.base.errors import DataError as DataError
    from robench.base.errors import PluginError as PluginError
    from robench.base.errors import RobenchError as RobenchError
    from robench.base.errors import UserError as UserError
    from robench.base.paths import expand_home as expand_home
    from robench.base.progress import progress as progress
    from robench.base.seeds import derive as derive
    from robench.base.seeds import generator as generator
    from robench.base.seeds import seed_scope as seed_scope
    from robench.base.stats import Z95 as Z95
    from robench.base.stats import wilson as wilson
    from robench.core.data import Data as Data
    from robench.core.data import Split as Split
    from robench.core.data import stratified as stratified
    from robench.core.layers import chosen_layers as chosen_layers
    from robench.core.layers import weight_layers as weight_layers
    from robench.core.outcomes import ABSTAIN as ABSTAIN
    from robench.core.outcomes import Outcomes as Outcomes
    from robench.core.outcomes import RowOutcomes as RowOutcomes
    from robench.core.outcomes import Score as Score
    from robench.core.outcomes import abstaining_as_right as abstaining_as_right
    from robench.core.outcomes import clean_score as clean_score
    from robench.core.outcomes import scores as scores
    from robench.core.outcomes import worst_cases as worst_cases
    from robench.core.record import Audit as Audit
    from robench.core.record import Axis as Axis
    from robench.core.record import Finding as Finding
    from robench.core.record import Record as Record
    from robench.core.record import Value as Value
    from robench.core.record import share as share
    from robench.core.session import Port as Port
    from robench.core.session import Session as Session
    from robench.core.source import Images as Images
    from robench.core.source import Part as Part
    from robench.core.source import Source as Source
    from robench.core.system import Deployed as Deployed
    from robench.core.system import FloatDeployed as FloatDeployed
    from robench.core.system import System as System
    from robench.core.system import forward as forward
    from robench.core.system import module_device as module_device
    from robench.core.threat import Threat as Threat
    from robench.core.threat import ThreatConfig as ThreatConfig
    from robench.core.threat import UsualThreat as UsualThreat
    from robench.core.threat import check_norm as check_norm
    from robench.core.threat import parse_eps as parse_eps
    from robench.core.threat import resolve_eps as resolve_eps
    from robench.core.weights import read_tensors as read_tensors
    from robench.plugin.components import Attack as Attack
    from robench.plugin.components import Certifier as Certifier
    from robench.plugin.components import Check as Check
    from robench.plugin.components import Compressor as Compressor
    from robench.plugin.components import Dataset as Dataset
    from robench.plugin.components import Defense as Defense
    from robench.plugin.components import DeployContext as DeployContext
    from robench.plugin.components import Metric as Metric
    from robench.plugin.components import Model as Model
    from robench.plugin.components import Runtime as Runtime
    from robench.plugin.components import require as require
    from robench.plugin.components import require_positive as require_positive
    from robench.plugin.evidence import Evidence as Evidence
    from robench.plugin.hooks import API_VERSION as API_VERSION
    from robench.plugin.hooks import Register as Register
    from robench.plugin.hooks import hookimpl as hookimpl
    from robench.plugin.registry import registry as registry
    from robench.plugin.scenario import AdversarialExamples as AdversarialExamples
    from robench.plugin.scenario import Scenario as Scenario
    from robench.plugin.trial import Trial as Trial
    from robench.run.config import Places as Places
    from robench.run.evaluate import evaluate as evaluate
    from robench.training.loop import Trainer as Trainer
    from robench.training.recipe import Recipe as Recipe
    from robench.training.recipe import TrainConfig as TrainConfig

_NAMES = {
    "base.errors": "ConfigError DataError PluginError RobenchError UserError",
    "base.paths": "expand_home",
    "base.progress": "progress",
    "base.seeds": "derive generator seed_scope",
    "base.stats": "Z95 wilson",
    "core.data": "Data Split stratified",
    "core.layers": "chosen_layers weight_layers",
    "core.outcomes": "ABSTAIN Outcomes RowOutcomes Score abstaining_as_right clean_score scores "
    "worst_cases",
    "core.record": "Audit Axis Finding Record Value share",
    "core.session": "Port Session",
    "core.source": "Images Part Source",
    "core.system": "Deployed FloatDeployed System forward module_device",
    "core.threat": "Threat ThreatConfig UsualThreat check_norm parse_eps resolve_eps",
    "core.weights": "read_tensors",
    "plugin.components": (
        "Attack Certifier Check Compressor Dataset Defense DeployContext Metric Model "
        "Runtime require require_positive"
    ),
    "plugin.evidence": "Evidence",
    "plugin.hooks": "API_VERSION Register hookimpl",
    "plugin.registry": "registry",
    "plugin.scenario": "AdversarialExamples Scenario",
    "plugin.trial": "Trial",
    "run.config": "Places",
    "run.evaluate": "evaluate",
    "training.loop": "Trainer",
    "training.recipe": "Recipe TrainConfig",
}
_HOME = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = sorted(_HOME)

_PACKAGES = ("graph", "integer", "search", "shipped", "smoothing", "studies", "testing")

if TYPE_CHECKING:  # what a notebook has beside these; plugins have no use for it
    from robench.collection import results as _results

    results = _results
    __version__: str


def __getattr__(name: str) -> Any:
    if name == "results":
        return import_module("robench.collection.results")
    if name == "__version__":
        return import_module("importlib.metadata").version("robench")
    if name in _PACKAGES:
        return import_module(f"robench.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'robench' has no attribute {name!r}")
    return getattr(import_module(f"robench.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, *_PACKAGES, "results", "__version__"])
