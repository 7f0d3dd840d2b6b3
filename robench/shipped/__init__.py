"""A file that ships, opened in its runtime: the deployed model, its twins, how far they agree."""

from __future__ import annotations

from robench.shipped.contract import Contract, usual_contract
from robench.shipped.deployed import FileDeployed
from robench.shipped.guards import require_sense
from robench.shipped.others import elsewhere
from robench.shipped.system import load, open_system, runtime_of

__all__ = [
    "Contract",
    "FileDeployed",
    "elsewhere",
    "load",
    "open_system",
    "require_sense",
    "runtime_of",
    "usual_contract",
]
