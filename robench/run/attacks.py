"""The attack step: adversarial examples for every scenario of a run, and the deployed model's word.

No attack is trusted: it gets copies, and the core brings what it returns into the threat model.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from robench.audit import judge as judging
from robench.base.errors import ConfigError, InternalError
from robench.base.hashing import digest, plain_options
from robench.base.progress import progress
from robench.base.seeds import derive, generator, seed_scope
from robench.core.batches import ASKED, HELD, SEARCHED, parts
from robench.core.pixels import floats, stored
from robench.core.record import FileInfo, MadeOn
from robench.core.system import System
from robench.core.threat import NORMS, Threat, distance, resolve_eps
from robench.plugin import guest
from robench.plugin.scenario import AdversarialExamples, Scenario
from robench.plugin.spent import Spent
from robench.records.protocol import NO_ACCESS, PARENT, TRANSFER, accesses_of
from robench.run import further, keys, transfer
from robench.run.config import Transfer
from robench.run.stages import Stages
from robench.run.stages import stages as made

if TYPE_CHECKING:
    from torch import Tensor

    from robench.core.data import Split
    from robench.plugin.components import Attack
    from robench.search.target import Target

JUDGED = 250
"""Images whose candidates are judged at once."""


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

    stored: Tensor
    """Candidates inside the threat model, as in AdversarialExamples, on the CPU."""
    gradients: float | None
    """Gradients of the twin, mean an image; None: not counted."""
    queries: float | None
    """Answers of the twin and of the deployed model, mean an image; None: not counted."""
    by: Tensor | None
    """Which twin's candidate each is, as in AdversarialExamples."""

    @property
    def images(self) -> Tensor:
        """The candidates: float32 in [0,1], shape (N, C, H, W)."""
        return floats(self.stored)


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


def rows(stages: Stages) -> list[Scenario]:
    """The scenarios of a run's rows: those asked for, by what the judged file lets be known.

    Raises ConfigError for attacks that need gradients of a file that has none, and for two rows of
    one name.
    """
    asked = list(scenarios(stages))
    if stages.facts is None:
        return asked
    found: list[Scenario] = []
    for _, group in groupby(asked, key=lambda one: one.attack):
        found += _known(list(group), stages, stages.facts)
    _require_different(found)
    return found


def _known(asked: list[Scenario], stages: Stages, file: FileInfo) -> list[Scenario]:
    """One attack's scenarios, each with the access that it has to a file."""
    name = asked[0].attack
    blind = stages.config.attack[name].queries_only or asked[0].search == "noise"
    given = dict.fromkeys(one.access for one in asked)
    each = [one for one in asked if one.access == next(iter(given))]
    parent = stages.parent is not None
    shown = accesses_of(given, blind, file, stages.agreement.surrogate, parent)
    if not shown:
        raise ConfigError(
            f"expected attacks without gradients on {file.runtime}'s file, a black box "
            f"({file.black_box}), got attack={name}; use attack=square, or name the float network "
            "that it was made from as model.file.parent, and examples are made there"
        )
    return [replace(one, access=access) for access in shown for one in each]


def _require_different(found: list[Scenario]) -> None:
    places = [(one.attack, one.access, one.threat.norm, one.threat.eps) for one in found]
    if len(set(places)) < len(places):
        raise ConfigError(
            "expected access=white_box alone of a file whose twin is a surrogate, since its rows "
            f"are {TRANSFER} rows, got {TRANSFER} beside it; leave that out"
        )


# -- search ----------------------------------------------------------------------------------------


def source_of(stages: Stages, access: str) -> Stages:
    """The stages of the model on which a row's examples are made."""
    if access == PARENT and stages.parent is not None:
        return stages.parent
    chosen = stages.config.access.get(access)
    if not isinstance(chosen, Transfer):
        return stages
    return made(transfer.source(stages.config, chosen), stages.places, stages.cache)


def attack(source: Stages, scenario: Scenario, target: Stages) -> AdversarialExamples:
    """The scenario's examples for the target's judged images; raises AttackFailed."""
    component = target.config.attack[scenario.attack]
    inputs: dict[str, object] = {
        "system": source.system_key,
        "attack": keys.component_key(component),
        "threat": asdict(scenario.threat),
        "data": target.data.hash,
        "images": digest(target.subset.tolist()),
    }
    if source.ships_file:
        inputs["further"] = further.VERSION

    def make(folder: Path) -> None:
        seed = derive(source.config.seed, "attack", plain_options(component), scenario.threat)
        start = time.perf_counter()
        system = replace(source.system, deployed=source.deployed)
        found = search(component, scenario, system, target.test, seed)
        about = {
            "seconds": time.perf_counter() - start,
            "made_on": keys.made_on(source.device).model_dump(),
            "gradients": found.gradients,
            "queries": found.queries,
        }
        (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")
        _write_images(found, folder)

    return target.cache.fetch("attack", inputs, make, _read_examples)


def search(component: Attack, scenario: Scenario, system: System, test: Split, seed: int) -> Found:
    """What an attack finds, brought into the threat model, and what the search cost.

    It searches on a copy of the system's twin, and may ask the deployed model; then, as long, on
    each further twin for the images that still hold and on which it leads elsewhere. Raises
    AttackFailed.
    """
    spent = Spent()
    found = _on_twin(component, scenario, _target(system, spent), test, seed)
    by = None
    if system.others and scenario.search != "noise" and not component.queries_only:
        by = _on_others(component, scenario, system, test, seed, found, spent)
    if component.queries_only and spent.gradients:
        raise AttackFailed("expected no gradients of an attack by queries only, got some")
    count = len(test)
    blind = scenario.search != "noise" and not (spent.gradients or spent.queries)
    # Who searches asks: what moved images unasked went around the count.
    if not spent.counted or (blind and _moved(found, test)):
        return Found(found, None, None, by)
    return Found(found, spent.gradients / count, spent.queries / count, by)


def _on_twin(
    component: Attack, scenario: Scenario, target: Target, test: Split, seed: int
) -> Tensor:
    """Legal candidates for all images, as they are kept, searched on one twin."""
    grid, shape = scenario.threat.grid, test.images.shape
    found = torch.empty(shape, dtype=torch.uint8 if grid else torch.float32)
    with progress(f"{scenario.attack} ({scenario.access})", len(test)) as advance:
        for part, at in enumerate(parts(len(test), shape[1:], SEARCHED, component.batch)):
            x, y = test.take(at).float_images(), test.labels[at]
            own = derive(seed, part)
            with seed_scope(derive(own, "global")):
                try:
                    raw = guest.search(component, target, x, y, scenario.threat, generator(own))
                except guest.Fault as fault:
                    raise AttackFailed(fault.reason) from fault
            found[at] = stored(legal(raw, x, scenario), grid)
            advance(len(x))
    return found


def _moved(found: Tensor, test: Split) -> bool:
    """Whether any candidate is another image than the clean one."""
    return not all(
        torch.equal(floats(found[at]), test.take(at).float_images())
        for at in parts(len(test), test.images.shape[1:], ASKED)
    )


def _on_others(
    component: Attack,
    scenario: Scenario,
    system: System,
    test: Split,
    seed: int,
    found: Tensor,
    spent: Spent,
) -> Tensor:
    """Search on each further twin for the images that hold, and put what breaks them into `found`.

    Left out are images on which a twin leads a search nowhere else. Returns which twin's candidate
    each image has: uint8 (N,), 0 for the first.
    """
    by = torch.zeros(len(test), dtype=torch.uint8)
    first = _target(system, spent)
    left = (~_broken(first, found, test.labels, derive(seed, "held"))).nonzero()[:, 0]
    if len(left) == 0:
        return by
    others = {
        name: replace(_target(replace(system, twin=twin), spent), queried=True)
        for name, twin in system.others.items()
    }
    apart = _apart(first, others, test.take(left), found[left], seed, spent)
    for number, (name, target) in enumerate(others.items(), 1):
        own, mine = derive(seed, "twin", name), left[apart[name] & (by[left] == 0)]
        if len(mine):
            again = _on_twin(component, scenario, target, test.take(mine), own)
            wrong = _broken(target, again, test.labels[mine], own)
            found[mine[wrong]], by[mine[wrong]] = again[wrong], number
    return by


def _apart(
    first: Target,
    others: Mapping[str, Target],
    test: Split,
    found: Tensor,
    seed: int,
    spent: Spent,
) -> Mapping[str, Tensor]:
    """By further twin, the images on which it leads elsewhere: bool (N,).

    All of them where the search cost less than to look.
    """
    if spent.gradients <= further.POINTS * (1 + len(others)) * len(test):
        return dict.fromkeys(others, torch.ones(len(test), dtype=torch.bool))
    twins = {name: target.twin for name, target in others.items()}
    given = first.twin, twins, test, found, derive(seed, "apart"), JUDGED
    return guest.call("the twins", further.apart, *given)


def _broken(target: Target, found: Tensor, labels: Tensor, seed: int) -> Tensor:
    """Which candidates the deployed model gets wrong, its own draws from a seed: bool (N,)."""
    with seed_scope(derive(seed, "judged")):
        runs = parts(len(found), found.shape[1:], HELD, JUDGED)
        return torch.cat([target.wrong(floats(found[at]), labels[at]) for at in runs])


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


def require_legal(examples: Tensor, images: Tensor, scenario: Scenario, first: int = 0) -> None:
    """Raise InternalError unless all examples lie in the scenario's threat model.

    `images` are the data set's own, from position `first` on. Noise is bound to the pixels' range
    and grid alone.
    """
    noise = scenario.search == "noise"
    threat = replace(scenario.threat, eps=None) if noise else scenario.threat
    outside = (~threat.contains(examples, images)).nonzero()[:, 0].tolist()
    if outside:
        raise InternalError(
            f"expected every example of {scenario.attack} in its threat model ({threat}), got "
            f"{len(outside)} outside, the first at position {first + outside[0]}; report this"
        )


def _write_images(found: Found, folder: Path) -> None:
    from safetensors.torch import save_file

    which = {} if found.by is None else {"by": found.by}
    save_file({"images": found.stored, **which}, folder / "examples.safetensors")


def _read_examples(folder: Path) -> AdversarialExamples:
    from safetensors.torch import load_file

    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    tensors = load_file(folder / "examples.safetensors")
    kept = tensors["images"]
    made_on = MadeOn(**about.pop("made_on"))
    name = keys.images_hash(kept)
    return AdversarialExamples(name, kept, made_on=made_on, by=tensors.get("by"), **about)


# -- judge -----------------------------------------------------------------------------------------


def clean(target: Stages) -> AdversarialExamples:
    """The judged images themselves."""
    pixels = target.judged.images
    return AdversarialExamples(keys.images_hash(pixels), pixels, 0.0)


def judge(
    target: Stages, examples: AdversarialExamples, scenario: Scenario | None = None
) -> Judgement:
    """Let the deployed model classify candidates for its judged images.

    Raises InternalError for candidates outside the scenario's threat model.
    """
    from safetensors.torch import load_file, save_file

    judged = target.judged
    shape = judged.images.shape[1:]
    compared = [*parts(len(judged), shape, ASKED)]
    if scenario is not None:
        for at in compared:
            clean = judged.take(at).float_images()
            require_legal(examples.take(at), clean, scenario, at.start)

    def make(folder: Path) -> None:
        # A randomised model draws from its own stream, the same whenever these are judged.
        with seed_scope(derive(target.config.seed, "judge", examples.hash, target.content)):
            asked = (examples.take(at) for at in parts(len(judged), shape, HELD))
            labels = torch.cat([target.deployed.predict(images) for images in asked])
        far = {
            norm: torch.cat([_far(examples, judged, at, norm) for at in compared]) for norm in NORMS
        }
        save_file({"labels": labels, **far}, folder / "judged.safetensors")

    inputs = {
        "system": target.system_key,
        "images": digest(target.subset.tolist()),
        "examples": examples.hash,
        **target.environment,
    }
    return target.cache.fetch(
        "judge", inputs, make, lambda folder: Judgement(**load_file(folder / "judged.safetensors"))
    )


def _far(examples: AdversarialExamples, judged: Split, at: slice, norm: str) -> Tensor:
    """How far the candidates of a run lie from their images: float32, one an image."""
    return distance(examples.take(at), judged.take(at).float_images(), norm)
