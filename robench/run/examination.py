"""The checks on one system of a run under one threat, cached."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from robench.audit.checks import CHECKS, LEVELS
from robench.audit.judge import Judge
from robench.audit.trial import Trial
from robench.base.hashing import code, digest
from robench.base.seeds import derive, seed_scope
from robench.core.data import stratified
from robench.core.record import Finding
from robench.core.threat import Threat
from robench.plugin.components import Attack, Check
from robench.plugin.registry import registry
from robench.run.config import Transfer
from robench.run.stages import Steps, named

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from robench.run.attacks import Crafted


@dataclass(frozen=True)
class Examined:
    """What the checks found out about a system under one threat, its rows left aside."""

    findings: tuple[Finding, ...]
    clean: NDArray[np.bool_]
    """Which audited images are right clean."""
    held: NDArray[np.bool_]
    """Which are right after everything tried, too."""
    alone: dict[str, NDArray[np.bool_]]
    """By gradient search that met every image, which are right clean and under it alone."""
    randomised: bool
    found: torch.Tensor
    """What first broke each audited image, else the image: float32 in [0,1], (N, C, H, W)."""


def subset(steps: Steps) -> torch.Tensor:
    """Which of the run's judged images are audited: positions, int64, seeded and stratified."""
    labels, count = steps.test.labels, steps.config.audit.count
    if count >= len(labels):
        return torch.arange(len(labels))
    return stratified(labels, count, np.random.default_rng(derive(steps.config.seed, "audit")))


def examine(
    steps: Steps, threat: Threat, index: torch.Tensor, attacks: Mapping[str, Attack]
) -> Examined:
    """Run the level's checks and those of plugins; `attacks` are the run's own, by row name."""
    checks = _checks(steps)
    tested = attacks if steps.config.audit.level == "full" else {}
    inputs = {
        "system": steps.system_key,
        **_inputs(steps, index),
        "threat": asdict(threat),
        "checks": [named(check) for check in checks],
        "attacks": {name: named(attack) for name, attack in tested.items()},
        "seed": steps.config.seed,
        "code": code("robench.run.examination"),
    }

    def make(folder: Path) -> None:
        with seed_scope(derive(steps.config.seed, "audit", threat)):
            _write(_run(_trial(steps, threat, index, tested), checks), folder)

    return steps.cache.fetch("audit", inputs, make, _read)


def rejudged(steps: Steps, crafted: Crafted, index: torch.Tensor) -> NDArray[np.bool_]:
    """Which candidates of a row a randomised model surely gets wrong, by many draws; cached."""

    def make() -> list[bool]:
        images, labels = crafted.images[index], steps.test.labels[index]
        with seed_scope(derive(steps.config.seed, "rejudge", crafted.key)):
            wrong: list[bool] = Judge(steps.system.deployed, True).wrong(images, labels).tolist()
        return wrong

    inputs = {
        **_inputs(steps, index),
        "crafted": crafted.key,
        "code": code("robench.audit.judge"),
    }
    return steps.cached("rejudge", inputs, make, lambda wrong: np.array(wrong, dtype=bool))


def _inputs(steps: Steps, index: torch.Tensor) -> dict[str, Any]:
    return {"data": steps.data.hash, "images": digest(steps.subset[index].tolist())}


def _checks(steps: Steps) -> tuple[Check, ...]:
    chosen = steps.config.audit
    foreign = [registry().get("check", name).make() for name in chosen.checks]
    return (*CHECKS[chosen.level], *(check for check in foreign if isinstance(check, Check)))


def _trial(
    steps: Steps, threat: Threat, index: torch.Tensor, attacks: Mapping[str, Attack]
) -> Trial:
    level, test = steps.config.audit.level, steps.test.take(index)
    return Trial(
        steps.system,
        test.float_images(),
        test.labels,
        threat,
        derive(steps.config.seed, "audit", threat),
        sources=_sources(steps),
        steps=LEVELS[level],
        thrifty=level == "quick",
        attacks=attacks,
    )


def _run(trial: Trial, checks: tuple[Check, ...]) -> Examined:
    findings = tuple(finding for check in checks for finding in check.look(trial))
    clean, held = trial.clean.numpy(), trial.held.numpy()
    alone = {name: right.numpy() for name, right in trial.alone.items()}
    return Examined(findings, clean, held, alone, trial.randomised, trial.found)


def _write(examined: Examined, folder: Path) -> None:
    from safetensors.torch import save_file

    text = {
        "findings": [finding.model_dump() for finding in examined.findings],
        "clean": examined.clean.tolist(),
        "held": examined.held.tolist(),
        "alone": {name: right.tolist() for name, right in examined.alone.items()},
        "randomised": examined.randomised,
    }
    (folder / "value.json").write_text(json.dumps(text, allow_nan=False), encoding="utf-8")
    save_file({"found": examined.found.contiguous()}, folder / "found.safetensors")


def _read(folder: Path) -> Examined:
    from safetensors.torch import load_file

    stored = json.loads((folder / "value.json").read_text(encoding="utf-8"))
    findings = tuple(Finding.model_validate(finding) for finding in stored["findings"])
    clean, held = (np.array(stored[name], dtype=bool) for name in ("clean", "held"))
    alone = {name: np.array(right, dtype=bool) for name, right in stored["alone"].items()}
    found = load_file(folder / "found.safetensors")["found"]
    return Examined(findings, clean, held, alone, stored["randomised"], found)


def _sources(steps: Steps) -> dict[str, Callable[[], nn.Module]]:
    """The float network behind the system, and in a full audit a plainly trained one."""
    found: dict[str, Callable[[], nn.Module]] = {}
    if steps.system.twin is not steps.trained:
        found["float parent"] = lambda: steps.trained
    if steps.config.audit.level == "full":
        # A network that came trained would be its own surrogate, or may take long to train.
        comes_trained = steps.model.pretrained or steps.stored
        other = Transfer(source={"model": "small_cnn"} if comes_trained else {})
        surrogate = Steps(steps.config.source(other), steps.places, steps.cache)
        found["plainly trained surrogate"] = lambda: surrogate.trained
    return found
