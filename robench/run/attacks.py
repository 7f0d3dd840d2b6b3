"""The attack step: adversarial examples for every scenario of a run, and the deployed model's word.

No attack is trusted: the core brings what a search returns into the threat model.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from robench.base.errors import PluginError, UserError
from robench.base.hashing import digest, plain_options
from robench.base.progress import progress
from robench.base.seeds import derive, generator, seed_scope
from robench.core.record import MadeOn
from robench.core.system import module_device
from robench.core.threat import Threat, distance, resolve_eps
from robench.plugin.scenario import AdversarialExamples, Scenario
from robench.records.protocol import NO_ACCESS
from robench.run import keys, transfer
from robench.run.config import Transfer
from robench.run.stages import Stages

if TYPE_CHECKING:
    from torch import Tensor, nn

    from robench.core.data import Split
    from robench.plugin.components import Attack


class AttackFailed(Exception):
    """An attack raised or returned what is no image; the row is invalid, never robust."""


@dataclass(frozen=True)
class Judgement:
    """What the deployed model says of candidates, and how far they lie: each of shape (N,)."""

    labels: Tensor
    linf: Tensor
    l2: Tensor
    """Distances to the clean image in [0,1] pixels."""


# -- which -----------------------------------------------------------------------------------------


def scenarios(stages: Stages) -> Iterator[Scenario]:
    """All scenarios that a configuration asks for, in its own order."""
    for name, attack in stages.config.attack.items():
        if attack.search == "noise":
            yield from _noise(name, attack, stages)
            continue
        for access in stages.config.access:
            make = _minimal if attack.search == "minimal" else _in_balls
            yield from make(name, attack, access, stages)


def _norm(attack: Attack, stages: Stages) -> str:
    norm = attack.norm or stages.config.threat.norm or stages.data.threat.norm
    return norm if norm in attack.norms else attack.norms[0]


def _in_balls(name: str, attack: Attack, access: str, stages: Stages) -> Iterator[Scenario]:
    norm, threat = _norm(attack, stages), stages.config.threat
    value = attack.eps if attack.eps is not None else threat.eps
    for eps in resolve_eps(value, stages.data.threat, norm):
        yield Scenario(name, attack.search, access, Threat(norm, eps, threat.grid))


def _minimal(name: str, attack: Attack, access: str, stages: Stages) -> Iterator[Scenario]:
    norm, usual = _norm(attack, stages), stages.data.threat
    budgets = usual.levels.get(norm, ()) if attack.eps is None else attack.eps
    numbers = resolve_eps(list(budgets), usual, norm) if budgets else ()
    threat = Threat(norm, None, stages.config.threat.grid)
    yield Scenario(name, attack.search, access, threat, numbers)


def _noise(name: str, attack: Attack, stages: Stages) -> Iterator[Scenario]:
    norm, usual = _norm(attack, stages), stages.data.threat
    scales = (usual.noise,) if attack.eps is None else resolve_eps(attack.eps, usual, norm)
    for scale in scales:
        yield Scenario(
            name, attack.search, NO_ACCESS, Threat(norm, scale, stages.config.threat.grid)
        )


# -- search ----------------------------------------------------------------------------------------


def source_of(stages: Stages, access: str) -> Stages:
    """The stages of the model on which a scenario's examples are made."""
    chosen = stages.config.access.get(access)
    if not isinstance(chosen, Transfer):
        return stages
    return Stages(transfer.source(stages.config, chosen), stages.places, stages.cache)


def attack(source: Stages, scenario: Scenario, target: Stages) -> AdversarialExamples:
    """The scenario's examples for the target's judged images; raises AttackFailed."""
    component = target.config.attack[scenario.attack]
    inputs = {
        "system": source.system_key,
        "attack": keys.component_key(component),
        "threat": asdict(scenario.threat),
        "data": target.data.hash,
        "images": digest(target.subset.tolist()),
    }

    def make(folder: Path) -> None:
        seed = derive(source.config.seed, "attack", plain_options(component), scenario.threat)
        start = time.perf_counter()
        images = search(component, scenario, source.system.twin.eval(), target.test, seed)
        about = {
            "seconds": time.perf_counter() - start,
            "made_on": keys.made_on(source.device).model_dump(),
        }
        (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")
        _write_images(images, scenario.threat.grid, folder)

    return target.cache.fetch("attack", inputs, make, _read_examples)


def search(
    component: Attack, scenario: Scenario, twin: nn.Module, test: Split, seed: int
) -> Tensor:
    """Candidates inside the threat model: float32 in [0,1], shape (N, C, H, W), on the CPU.

    Raises AttackFailed.
    """
    device, images, parts = module_device(twin), test.float_images(), []
    with progress(f"{scenario.attack} ({scenario.access})", len(images)) as advance:
        for part, index in enumerate(torch.arange(len(images)).split(component.batch)):
            x, y = images[index], test.labels[index]
            raw = _run(component, scenario, twin, x.to(device), y.to(device), derive(seed, part))
            parts.append(legal(raw, x, scenario))
            advance(len(x))
    return torch.cat(parts)


def _run(
    component: Attack,
    scenario: Scenario,
    twin: nn.Module,
    images: Tensor,
    labels: Tensor,
    seed: int,
) -> Tensor:
    with seed_scope(derive(seed, "global")):
        try:
            # Copies: what a search does to its images must not move the ball around them.
            given = images.clone(), labels.clone()
            return component.run(twin, *given, scenario.threat, generator(seed))
        except UserError:
            raise
        except Exception as error:  # a foreign search may raise anything
            text = " ".join(str(error).split())
            raise AttackFailed(f"{type(error).__name__}: {text}") from error


def legal(raw: Tensor, images: Tensor, scenario: Scenario) -> Tensor:
    """Candidates brought into the threat model; raises AttackFailed for what is no image."""
    if not isinstance(raw, torch.Tensor) or raw.shape != images.shape:
        got = tuple(raw.shape) if isinstance(raw, torch.Tensor) else type(raw).__name__
        raise AttackFailed(f"expected candidates of shape {tuple(images.shape)}, got {got}")
    candidates = raw.detach().float().cpu()
    if not torch.isfinite(candidates).all():
        raise AttackFailed("expected finite candidates, got NaN or infinite pixels")
    if scenario.search == "noise":
        noisy = candidates.clamp(0, 1)
        return (noisy * 255).round() / 255 if scenario.threat.grid else noisy
    inside = scenario.threat.project(candidates, images)
    if not bool(scenario.threat.contains(inside, images).all()):
        raise PluginError("expected projected candidates inside the threat model; report this")
    return inside


def _write_images(images: Tensor, grid: bool, folder: Path) -> None:
    from safetensors.torch import save_file

    stored = (images * 255).round().to(torch.uint8) if grid else images
    save_file({"images": stored.contiguous()}, folder / "examples.safetensors")


def _read_examples(folder: Path) -> AdversarialExamples:
    from safetensors.torch import load_file

    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    stored = load_file(folder / "examples.safetensors")["images"]
    grid = stored.dtype == torch.uint8
    images = stored.float() / 255 if grid else stored
    name = keys.images_hash(images, grid)
    return AdversarialExamples(name, images, about["seconds"], MadeOn(**about["made_on"]))


# -- judge -----------------------------------------------------------------------------------------


def clean(target: Stages) -> AdversarialExamples:
    """The judged images themselves."""
    images = target.test.float_images()
    return AdversarialExamples(keys.images_hash(images, True), images, 0.0)


def judge(target: Stages, examples: AdversarialExamples) -> Judgement:
    """Let the deployed model classify candidates for its judged images."""
    from safetensors.torch import load_file, save_file

    def make(folder: Path) -> None:
        images = target.test.float_images()
        # A randomised model draws from its own stream, the same whenever these are judged.
        with seed_scope(derive(target.config.seed, "judge", examples.hash, target.content)):
            labels = target.system.deployed.predict(examples.images)
        judged = {
            "labels": labels,
            "linf": distance(examples.images, images, "linf"),
            "l2": distance(examples.images, images, "l2"),
        }
        tensors = {name: value.cpu().contiguous() for name, value in judged.items()}
        save_file(tensors, folder / "judged.safetensors")

    inputs = {
        "system": target.system_key,
        "images": digest(target.subset.tolist()),
        "examples": examples.hash,
        **target.environment,
    }
    return target.cache.fetch(
        "judge", inputs, make, lambda folder: Judgement(**load_file(folder / "judged.safetensors"))
    )
