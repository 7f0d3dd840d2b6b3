"""The attack step: adversarial examples for every scenario of a run, and the deployed model's word.

No attack is trusted: it gets copies, and the core brings what it returns into the threat model.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from robench.audit import judge as judging
from robench.base.errors import InternalError
from robench.base.hashing import digest, plain_options
from robench.base.progress import progress
from robench.base.seeds import derive, generator, seed_scope
from robench.core.record import MadeOn
from robench.core.system import System
from robench.core.threat import Threat, distance, resolve_eps
from robench.plugin import guest
from robench.plugin.scenario import AdversarialExamples, Scenario
from robench.plugin.spent import Spent
from robench.records.protocol import NO_ACCESS
from robench.run import keys, transfer
from robench.run.config import Transfer
from robench.run.stages import Stages
from robench.run.stages import stages as made

if TYPE_CHECKING:
    from torch import Tensor

    from robench.core.data import Split
    from robench.plugin.components import Attack
    from robench.search.target import Target


class AttackFailed(Exception):
    """An attack raised or returned what is no image; the row is invalid, never robust."""


@dataclass(frozen=True)
class Judgement:
    """What the deployed model says of candidates, and how far they lie: each of shape (N,)."""

    labels: Tensor
    linf: Tensor
    l2: Tensor
    """Distances to the clean image in [0,1] pixels."""


@dataclass(frozen=True)
class Found:
    """What a search found, and what it asked for."""

    images: Tensor
    """Candidates inside the threat model: float32 in [0,1], shape (N, C, H, W), on the CPU."""
    gradients: float | None
    """Gradients of the twin, mean an image; None: not counted."""
    queries: float | None
    """Answers of the twin and of the deployed model, mean an image; None: not counted."""


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
    given = attack.eps is not None
    budgets = resolve_eps(attack.eps, usual, norm) if given else usual.levels.get(norm, ())
    threat = Threat(norm, None, stages.config.threat.grid)
    yield Scenario(name, attack.search, access, threat, tuple(budgets))


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
    return made(transfer.source(stages.config, chosen), stages.places, stages.cache)


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
        system = System(source.deployed, source.system.twin)
        found = search(component, scenario, system, target.test, seed)
        about = {
            "seconds": time.perf_counter() - start,
            "made_on": keys.made_on(source.device).model_dump(),
            "gradients": found.gradients,
            "queries": found.queries,
        }
        (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")
        _write_images(found.images, scenario.threat.grid, folder)

    return target.cache.fetch("attack", inputs, make, _read_examples)


def search(component: Attack, scenario: Scenario, system: System, test: Split, seed: int) -> Found:
    """What an attack finds, brought into the threat model, and what the search cost.

    It searches on a copy of the system's twin, and may ask the deployed model. Raises AttackFailed.
    """
    spent, images, parts = Spent(), test.float_images(), []
    target = _target(system, spent)
    with progress(f"{scenario.attack} ({scenario.access})", len(images)) as advance:
        for part, index in enumerate(torch.arange(len(images)).split(component.batch)):
            x, y = images[index], test.labels[index]
            own = derive(seed, part)
            with seed_scope(derive(own, "global")):
                try:
                    raw = guest.search(component, target, x, y, scenario.threat, generator(own))
                except guest.Fault as fault:
                    raise AttackFailed(fault.reason) from fault
            parts.append(legal(raw, x, scenario))
            advance(len(x))
    if component.queries_only and spent.gradients:
        raise AttackFailed("expected no gradients of an attack by queries only, got some")
    found, count = torch.cat(parts), len(images)
    blind = scenario.search != "noise" and not (spent.gradients or spent.queries)
    # Who searches asks: what moved images unasked went around the count.
    if not spent.counted or (blind and not torch.equal(found, images)):
        return Found(found, None, None)
    return Found(found, spent.gradients / count, spent.queries / count)


def _target(system: System, spent: Spent) -> Target:
    """A copy of the twin and the deployed model's word, both counted."""
    deployed = system.deployed
    if not isinstance(deployed, guest.Answers):
        deployed = guest.Answers("the deployed model", deployed)
    twin = spent.watch(guest.own_twin(system))
    return judging.target(twin, deployed.inside(spent), deployed.randomised)


def legal(candidates: Tensor, images: Tensor, scenario: Scenario) -> Tensor:
    """Finite candidates brought into the threat model: float32 in [0,1]."""
    if scenario.search == "noise":
        noisy = candidates.clamp(0, 1)
        return (noisy * 255).round() / 255 if scenario.threat.grid else noisy
    return scenario.threat.project(candidates, images)


def require_legal(examples: Tensor, images: Tensor, scenario: Scenario) -> None:
    """Raise InternalError unless all examples lie in the scenario's threat model.

    `images` are the data set's own. Noise is bound to the pixels' range and grid alone.
    """
    noise = scenario.search == "noise"
    threat = replace(scenario.threat, eps=None) if noise else scenario.threat
    outside = (~threat.contains(examples, images)).nonzero()[:, 0].tolist()
    if outside:
        raise InternalError(
            f"expected every example of {scenario.attack} in its threat model ({threat}), got "
            f"{len(outside)} outside, the first at position {outside[0]}; report this"
        )


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
    made_on = MadeOn(**about.pop("made_on"))
    return AdversarialExamples(name, images, made_on=made_on, **about)


# -- judge -----------------------------------------------------------------------------------------


def clean(target: Stages) -> AdversarialExamples:
    """The judged images themselves."""
    return AdversarialExamples(keys.images_hash(target.judged, True), target.judged, 0.0)


def judge(
    target: Stages, examples: AdversarialExamples, scenario: Scenario | None = None
) -> Judgement:
    """Let the deployed model classify candidates for its judged images.

    Raises InternalError for candidates outside the scenario's threat model.
    """
    from safetensors.torch import load_file, save_file

    images = target.judged
    if scenario is not None:
        require_legal(examples.images, images, scenario)

    def make(folder: Path) -> None:
        # A randomised model draws from its own stream, the same whenever these are judged.
        with seed_scope(derive(target.config.seed, "judge", examples.hash, target.content)):
            labels = target.deployed.predict(examples.images)
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
