"""The rows of a run: which examples are made where, and how the deployed model judges them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from robench.base.hashing import code, digest
from robench.base.seeds import derive, seed_scope
from robench.core.threat import Threat, distance, resolve_eps
from robench.records.protocol import NO_ACCESS
from robench.run.config import Transfer
from robench.run.crafting import Row, search
from robench.run.stages import Steps, named

if TYPE_CHECKING:
    from torch import Tensor

    from robench.plugin.components import Attack


@dataclass(frozen=True)
class Crafted:
    """Candidates of one row, already legal, and the seconds they took."""

    key: str
    images: Tensor
    """float32 in [0,1], shape (N, C, H, W)."""
    seconds: float


@dataclass(frozen=True)
class Judged:
    """What the deployed model says of candidates: each field has shape (N,)."""

    labels: Tensor
    linf: Tensor
    l2: Tensor
    """Distances to the clean image in [0,1] pixels."""


def rows(steps: Steps) -> Iterator[Row]:
    """All rows a configuration asks for, in its own order."""
    for name, attack in steps.config.attack.items():
        if attack.search == "noise":
            yield from _noise_rows(name, attack, steps)
            continue
        for access in steps.config.access:
            make = _minimal_rows if attack.search == "minimal" else _ball_rows
            yield from make(name, attack, access, steps)


def _norm(attack: Attack, steps: Steps) -> str:
    norm = attack.norm or steps.config.threat.norm or steps.data.threat.norm
    return norm if norm in attack.norms else attack.norms[0]


def _ball_rows(name: str, attack: Attack, access: str, steps: Steps) -> Iterator[Row]:
    norm, threat = _norm(attack, steps), steps.config.threat
    value = attack.eps if attack.eps is not None else threat.eps
    for eps in resolve_eps(value, steps.data.threat, norm):
        yield Row(name, attack, access, Threat(norm, eps, threat.grid))


def _minimal_rows(name: str, attack: Attack, access: str, steps: Steps) -> Iterator[Row]:
    norm, usual = _norm(attack, steps), steps.data.threat
    budgets = usual.levels.get(norm, ()) if attack.eps is None else attack.eps
    numbers = resolve_eps(list(budgets), usual, norm) if budgets else ()
    yield Row(name, attack, access, Threat(norm, None, steps.config.threat.grid), numbers)


def _noise_rows(name: str, attack: Attack, steps: Steps) -> Iterator[Row]:
    norm, usual = _norm(attack, steps), steps.data.threat
    scales = (usual.noise,) if attack.eps is None else resolve_eps(attack.eps, usual, norm)
    for scale in scales:
        yield Row(name, attack, NO_ACCESS, Threat(norm, scale, steps.config.threat.grid))


def source_of(steps: Steps, access: str) -> Steps:
    """The steps of the model on which a row's examples are made."""
    chosen = steps.config.access.get(access)
    if not isinstance(chosen, Transfer):
        return steps
    return Steps(steps.config.source(chosen), steps.places, steps.cache)


def craft(source: Steps, row: Row, target: Steps) -> Crafted:
    """The row's candidates for the target's judged images; raises AttackFailed."""
    inputs = {
        "system": source.system_key,
        "data": source.data.hash,
        "attack": named(row.component),
        "threat": asdict(row.threat),
        "images": digest(target.subset.tolist()),
        "code": code("robench.run.crafting"),
    }
    key = target.cache.key("craft", inputs)

    def make(folder: Path) -> None:
        seed = derive(source.config.seed, "attack", named(row.component)["options"], row.threat)
        start = time.perf_counter()
        images = search(row, source.system.twin.eval(), target.test, seed, source.device)
        _write_images(images, row.threat.grid, time.perf_counter() - start, folder)

    return target.cache.fetch("craft", inputs, make, lambda folder: _read_images(key, folder))


def clean(target: Steps) -> Crafted:
    """The judged images themselves."""
    return Crafted("clean", target.test.float_images(), 0.0)


def judge(target: Steps, crafted: Crafted) -> Judged:
    """Let the deployed model classify candidates for its judged images."""
    from safetensors.torch import load_file, save_file

    def make(folder: Path) -> None:
        images = target.test.float_images()
        # A randomised model draws from its own stream, the same whenever these are judged.
        with seed_scope(derive(target.config.seed, "judge", crafted.key)):
            labels = target.system.deployed.predict(crafted.images)
        judged = {
            "labels": labels,
            "linf": distance(crafted.images, images, "linf"),
            "l2": distance(crafted.images, images, "l2"),
        }
        tensors = {name: value.cpu().contiguous() for name, value in judged.items()}
        save_file(tensors, folder / "judged.safetensors")

    inputs = {
        "system": target.system_key,
        "data": target.data.hash,
        "crafted": crafted.key,
        "images": digest(target.subset.tolist()),
        "code": code("robench.core.threat"),
    }
    return target.cache.fetch(
        "judge", inputs, make, lambda folder: Judged(**load_file(folder / "judged.safetensors"))
    )


def _write_images(images: Tensor, grid: bool, seconds: float, folder: Path) -> None:
    from safetensors.torch import save_file

    stored = (images * 255).round().to(torch.uint8) if grid else images
    save_file({"images": stored.contiguous()}, folder / "examples.safetensors")
    (folder / "seconds").write_text(repr(seconds), encoding="utf-8")


def _read_images(key: str, folder: Path) -> Crafted:
    from safetensors.torch import load_file

    stored = load_file(folder / "examples.safetensors")["images"]
    images = stored.float() / 255 if stored.dtype == torch.uint8 else stored
    return Crafted(key, images, float((folder / "seconds").read_text(encoding="utf-8")))
