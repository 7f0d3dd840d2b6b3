"""robench: how robust is the network you actually ship?

The names below are all that a plugin may import; submodules load when a name is first used, so
that importing robench costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robench.api import evaluate
    from robench.components import (
        Attack,
        Check,
        Compressor,
        Dataset,
        Defense,
        DeployContext,
        Metric,
        Model,
        require,
        require_positive,
    )
    from robench.data import Data, Split
    from robench.errors import ConfigError, DataError, PluginError, RobenchError, UserError
    from robench.evidence import Evidence
    from robench.hookspecs import hookimpl
    from robench.record import Finding, Record, Value
    from robench.seeds import seed_scope
    from robench.system import ABSTAIN, Deployed, FloatDeployed, System, forward
    from robench.threat import Threat, UsualThreat
    from robench.train import Trainer

API_VERSION = 1
"""Major version of the names below; a plugin made for another one is refused."""

_HOME = {
    "ABSTAIN": "system",
    "Attack": "components",
    "Check": "components",
    "Compressor": "components",
    "ConfigError": "errors",
    "Data": "data",
    "DataError": "errors",
    "Dataset": "components",
    "Defense": "components",
    "DeployContext": "components",
    "Deployed": "system",
    "Evidence": "evidence",
    "Finding": "record",
    "FloatDeployed": "system",
    "Metric": "components",
    "Model": "components",
    "PluginError": "errors",
    "Record": "record",
    "RobenchError": "errors",
    "Split": "data",
    "System": "system",
    "Threat": "threat",
    "Trainer": "train",
    "UserError": "errors",
    "UsualThreat": "threat",
    "Value": "record",
    "evaluate": "api",
    "forward": "system",
    "hookimpl": "hookspecs",
    "require": "components",
    "require_positive": "components",
    "seed_scope": "seeds",
}

__all__ = [
    "ABSTAIN",
    "API_VERSION",
    "Attack",
    "Check",
    "Compressor",
    "ConfigError",
    "Data",
    "DataError",
    "Dataset",
    "Defense",
    "DeployContext",
    "Deployed",
    "Evidence",
    "Finding",
    "FloatDeployed",
    "Metric",
    "Model",
    "PluginError",
    "Record",
    "RobenchError",
    "Split",
    "System",
    "Threat",
    "Trainer",
    "UserError",
    "UsualThreat",
    "Value",
    "evaluate",
    "forward",
    "hookimpl",
    "require",
    "require_positive",
    "seed_scope",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'robench' has no attribute {name!r}")
    return getattr(import_module(f"robench.{_HOME[name]}"), name)
