"""What computed a record: versions, machine, commit."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import torch

from robench.base.machine import cpu_name
from robench.base.paths import PACKAGE
from robench.core.record import Provenance
from robench.run.config import component_versions

if TYPE_CHECKING:
    from robench.run.stages import Stages

LIBRARIES = ("torch", "torchvision", "adversarial-robustness-toolbox", "numpy", "hydra-core")


def provenance(stages: Stages) -> Provenance:
    """The versions and the machine behind a run."""
    versions = component_versions(stages.config)
    distributions = {name: _version(name) for name in LIBRARIES}
    for name in (v.rpartition(" / ")[0] for v in versions.values()):
        distribution, _, number = name.partition(" ")
        distributions[distribution] = number
    return Provenance(
        robench=_version("robench"),
        distributions=distributions,
        components=versions,
        python=platform.python_version(),
        machine=cpu_name(),
        device=_device(stages.device),
        threads=torch.get_num_threads(),
        commit=_commit(),
        weights=stages.made_on,
    )


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


def _device(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _commit() -> str | None:
    """The checkout's commit, with a plus sign when it has changes; None outside a checkout."""
    if not (PACKAGE.parent / ".git").exists():
        return None
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(PACKAGE.parent), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
