"""The checks on one system of a run under one threat, cached."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from robench.audit.checks import CHECKS, SEARCH_STEPS
from robench.audit.checks.together import by_checks
from robench.audit.checks.transfer import SURROGATE
from robench.audit.findings import findings_of
from robench.audit.judge import Judge
from robench.audit.trial import SystemTrial
from robench.base.errors import PluginError
from robench.base.hashing import digest
from robench.base.seeds import derive, seed_scope
from robench.core.data import stratified
from robench.core.pixels import stored
from robench.core.record import Finding
from robench.core.system import System
from robench.core.threat import Threat
from robench.plugin import guest
from robench.plugin.components import Attack, Check, Defense
from robench.plugin.declared import check_declared
from robench.plugin.registry import registry
from robench.plugin.typed import check_options
from robench.run import keys, transfer
from robench.run.config import Transfer
from robench.run.stages import FileStages, ProgramStages, Stages

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from robench.plugin.scenario import AdversarialExamples


FOUND = "found.safetensors"
QUICK_EPOCHS = 4
"""Epochs of the network that a quick audit of an own one trains to transfer from."""


@dataclass(frozen=True)
class Examined:
    """What the checks found out about a system under one threat, its rows left aside."""

    findings: tuple[Finding, ...]
    clean: NDArray[np.bool_]
    """Which audited images are right clean."""
    held: NDArray[np.bool_]
    """Which are right after everything tried, too."""
    checked: NDArray[np.bool_]
    """Which are right after the checks' own searches, the strongest one aside."""
    alone: dict[str, NDArray[np.bool_]]
    """By gradient search that met every image, which are right clean and under it alone."""
    forms: tuple[str, ...]
    """Modules whose gradient broke what the twin's own did not, by name."""
    randomised: bool
    seconds: float
    """What the checks took when they were made."""
    found: torch.Tensor
    """What first broke each audited image, else the image: (N, C, H, W), uint8 on the 8-bit grid,
    else float32 in [0,1]."""


def subset(stages: Stages) -> torch.Tensor:
    """Which of the run's judged images are audited: positions, int64, seeded and stratified."""
    labels, count = stages.test.labels, stages.config.audit.count
    if count >= len(labels):
        return torch.arange(len(labels))
    return stratified(
        labels, count, np.random.default_rng(derive(stages.config.images_seed, "audit"))
    )


def examine(
    stages: Stages,
    threat: Threat,
    index: torch.Tensor,
    attacks: Mapping[str, Attack],
    strongest: AdversarialExamples | None,
) -> Examined:
    """Run the level's checks and those of plugins; `attacks` are the run's own, by row name.

    `strongest` is what one of them found that is the audit's strongest search itself.
    """
    checks = _checks(stages)
    full = stages.config.audit.level == "full"
    tested, adaptive = (attacks, adaptive_attacks(stages, threat)) if full else ({}, {})
    inputs = {
        **inputs_of(stages, index),
        "threat": asdict(threat),
        "checks": [keys.component_key(check) for check in checks],
        "attacks": {name: keys.component_key(attack) for name, attack in tested.items()},
        "adaptive": {name: keys.component_key(attack) for name, attack in adaptive.items()},
        "strongest": strongest.hash if strongest else "",
        "level": stages.config.audit.level,
        "surrogate": surrogate_key(stages) if SURROGATE in sources(stages) else "",
    }

    def trial() -> SystemTrial:
        known = strongest.take(index) if strongest else None
        return _trial(stages, threat, index, tested, adaptive, known)

    def make(folder: Path) -> None:
        with seed_scope(derive(stages.config.seed, "audit", threat)):
            start = time.perf_counter()
            examined = _run(trial(), checks)
            _write(replace(examined, seconds=time.perf_counter() - start), folder)

    return stages.cache.fetch("audit", inputs, make, lambda folder: _read(folder, threat.grid))


def rejudged(
    stages: Stages, examples: AdversarialExamples, index: torch.Tensor
) -> NDArray[np.bool_]:
    """Which candidates of a row a randomised model surely gets wrong, by many draws; cached."""

    def make() -> list[bool]:
        images, labels = examples.take(index), stages.test.labels[index]
        with seed_scope(derive(stages.config.seed, "rejudge", examples.hash, stages.content)):
            wrong: list[bool] = Judge(stages.deployed, True).wrong(images, labels).tolist()
        return wrong

    inputs = {**_inputs(stages, index), "examples": examples.hash}
    return np.array(stages.cached("rejudge", inputs, make), dtype=bool)


def inputs_of(stages: Stages, index: torch.Tensor) -> dict[str, Any]:
    """What every search of an audit depends on: the system, the images at `index`, the seed."""
    seed = stages.config.seed
    return {"system": stages.system_key, **_inputs(stages, index), "seed": seed}


def _inputs(stages: Stages, index: torch.Tensor) -> dict[str, Any]:
    images = digest(stages.subset[index].tolist())
    return {"data": stages.data.hash, "images": images, **stages.environment}


def _checks(stages: Stages) -> tuple[Check, ...]:
    chosen = stages.config.audit
    foreign = [registry().get("check", name).make() for name in chosen.checks]
    return (*CHECKS[chosen.level], *(check for check in foreign if isinstance(check, Check)))


def adaptive_attacks(stages: Stages, threat: Threat) -> dict[str, Attack]:
    """The attacks that the defenses bring against themselves, by defense; raises PluginError."""
    found = {}
    for name, defense in stages.config.defense.items():
        if type(defense).adaptive is Defense.adaptive:
            continue
        own = System(stages.deployed, guest.own_twin(stages.system))
        attack = guest.call(defense, defense.adaptive, own, replace(threat))
        if attack is None:
            continue
        if not isinstance(attack, Attack):
            raise PluginError(
                f"expected adaptive of {guest.name_of(defense)} to return an Attack or None, got "
                f"{type(attack).__name__}"
            )
        check_declared(type(attack), "attack")
        check_options(attack)
        found[name] = attack
    return found


def _trial(
    stages: Stages,
    threat: Threat,
    index: torch.Tensor,
    attacks: Mapping[str, Attack],
    adaptive: Mapping[str, Attack],
    known: torch.Tensor | None,
) -> SystemTrial:
    level, test = stages.config.audit.level, stages.test.take(index)
    return SystemTrial(
        replace(stages.system, deployed=stages.deployed),
        test.float_images(),
        test.labels,
        threat,
        derive(stages.config.seed, "audit", threat),
        sources=sources(stages),
        steps=SEARCH_STEPS[level],
        thrifty=level == "quick",
        attacks=attacks,
        adaptive=adaptive,
        known=known,
        unasked=stages.unasked,
        fork=stages.fork,
    )


def _run(trial: SystemTrial, checks: tuple[Check, ...]) -> Examined:
    findings = findings_of(trial, checks)
    clean, held = trial.clean.numpy(), trial.held.numpy()
    checked = (trial.clean & ~by_checks(trial)).numpy()
    alone = {name: right.numpy() for name, right in trial.alone.items()}
    forms = tuple(trial.forms)
    return Examined(
        findings, clean, held, checked, alone, forms, trial.randomised, 0.0, kept_of(trial)
    )


def _write(examined: Examined, folder: Path) -> None:
    text = {
        "findings": [finding.model_dump() for finding in examined.findings],
        "clean": examined.clean.tolist(),
        "held": examined.held.tolist(),
        "checked": examined.checked.tolist(),
        "alone": {name: right.tolist() for name, right in examined.alone.items()},
        "forms": examined.forms,
        "randomised": examined.randomised,
        "seconds": examined.seconds,
    }
    (folder / "value.json").write_text(json.dumps(text, allow_nan=False), encoding="utf-8")
    write_found(examined.found, folder)


def _read(folder: Path, grid: bool) -> Examined:
    about = json.loads((folder / "value.json").read_text(encoding="utf-8"))
    findings = tuple(Finding.model_validate(finding) for finding in about["findings"])
    clean, held, checked = (
        np.array(about[name], dtype=bool) for name in ("clean", "held", "checked")
    )
    alone = {name: np.array(right, dtype=bool) for name, right in about["alone"].items()}
    return Examined(
        findings=findings,
        clean=clean,
        held=held,
        checked=checked,
        alone=alone,
        forms=tuple(about["forms"]),
        randomised=about["randomised"],
        seconds=about["seconds"],
        found=read_found(folder, grid),
    )


def kept_of(trial: SystemTrial) -> torch.Tensor:
    """What first broke each image of a trial, else the image, as it is kept."""
    return stored(trial.found, trial.threat.grid)


def write_found(found: torch.Tensor, folder: Path) -> None:
    """Write what an audit found, as it is kept, among a step's files."""
    from safetensors.torch import save_file

    save_file({"found": found.contiguous()}, folder / FOUND)


def read_found(folder: Path, grid: bool) -> torch.Tensor:
    """What `write_found` wrote, as it is kept; floats on the grid, too, were once."""
    from safetensors.torch import load_file

    found = load_file(folder / FOUND)["found"]
    return found if found.dtype == torch.uint8 else stored(found, grid)


def sources(stages: Stages) -> dict[str, Callable[[], nn.Module]]:
    """The float network behind the system; in a full audit or without it a plainly trained one,
    where there are images to train it on."""
    found: dict[str, Callable[[], nn.Module]] = {}
    parent = stages.parent
    if parent is not None:
        found["float parent"] = lambda: parent.system.twin
    elif not stages.model.arrives_finished and not stages.twin_is_trained:
        found["float parent"] = lambda: stages.trained
    wanted = stages.config.audit.level == "full" or not found
    if wanted and stages.data.has_training:
        other = surrogate(stages)
        found[SURROGATE] = lambda: other.trained
    return found


def surrogate_key(stages: Stages) -> str:
    """The hash of the network that a system's audit trains to transfer from."""
    return surrogate(stages).train_key


def surrogate(stages: Stages) -> Stages:
    """The stages of a plainly trained network, for transfer."""
    # A network that came trained would be its own surrogate, or may take long to train.
    comes_trained = stages.model.pretrained or isinstance(stages, ProgramStages | FileStages)
    other = Transfer(source={"model": "small_cnn"} if comes_trained else {})
    source = transfer.source(stages.config, other)
    if stages.config.audit.level == "quick":
        # Kept for all networks of the data set; a few epochs are enough to point the way.
        source = replace(source, train=replace(source.train, epochs=QUICK_EPOCHS))
    return Stages(source, stages.places, stages.cache)
