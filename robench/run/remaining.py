"""The images that the checks of an audit left aside: searched for the number alone, cached."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from robench.audit.checks import SEARCH_STEPS
from robench.audit.checks.memory import REMEMBERS
from robench.audit.checks.smoother import SMOOTHER
from robench.audit.checks.transfer import SURROGATE, form_of
from robench.audit.trial import SystemTrial
from robench.base.seeds import derive, seed_scope
from robench.core.batches import HELD, parts
from robench.core.pixels import floats
from robench.core.sentences import twin_form
from robench.core.threat import Threat
from robench.plugin import guest
from robench.run.examination import (
    Examined,
    inputs_of,
    kept_of,
    read_found,
    sources,
    surrogate_key,
    write_found,
)
from robench.run.stages import Stages

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn


@dataclass(frozen=True)
class Searched:
    """What the strongest search left of M images that nothing broke before."""

    held: NDArray[np.bool_]
    """Which still are right: (M,)."""
    found: torch.Tensor
    """What broke each, else the image: (M, C, H, W), as in Examined."""
    seconds: float
    """What the search took when it was made."""


def searched(
    stages: Stages, threat: Threat, index: torch.Tensor, examined: Examined, *, twin: bool
) -> Searched:
    """The strongest search on the images at `index`, int64 (M,).

    It runs on the `twin`, unless a row was that search, and on every module that beat the twin's
    own gradient where the checks looked; where it remembers what it was asked, on the twin in
    any case, as a stranger would. A thrifty audit leaves a randomised model alone, since
    the search averages every gradient.
    """
    thrifty = stages.config.audit.level == "quick"
    forms = examined.forms
    strange = any(f.check == REMEMBERS and f.n for f in examined.findings)
    twin |= strange
    if len(index) == 0 or not (twin or forms) or (thrifty and examined.randomised):
        pixels = stages.test.images[index]
        kept = pixels if threat.grid else floats(pixels)
        return Searched(np.ones(len(index), dtype=bool), kept, 0.0)
    inputs = {
        **inputs_of(stages, index),
        "threat": asdict(threat),
        "twin": twin,
        "strange": strange,
        "forms": list(forms),
        "level": stages.config.audit.level,
        "surrogate": surrogate_key(stages) if form_of(SURROGATE) in forms else "",
    }

    def make(folder: Path) -> None:
        with seed_scope(derive(stages.config.seed, "remaining", threat)):
            start = time.perf_counter()
            run = guest.call("the audit", _run, stages, threat, index, twin, forms, strange)
            about = {"held": run[0].tolist(), "seconds": time.perf_counter() - start}
            (folder / "value.json").write_text(json.dumps(about), encoding="utf-8")
            write_found(run[1], folder)

    return stages.cache.fetch("remaining", inputs, make, lambda folder: _read(folder, threat.grid))


def _run(
    stages: Stages,
    threat: Threat,
    index: torch.Tensor,
    twin: bool,
    forms: tuple[str, ...],
    strange: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Which images hold, and what broke the others, as it is kept; some images after the others."""
    given, found = sources(stages), []
    for at in parts(len(index), stages.data.shape, HELD):
        trial = _trial(stages, threat, index[at], at.start)
        if strange and trial.unasked is not None:
            trial.meet_anew(trial.unasked)
        for name, module in _modules(given, trial, twin, forms):
            trial.strongest(f"strongest on {name}", module)
        found.append((trial.held, kept_of(trial)))
    held, kept = zip(*found, strict=True)
    return torch.cat(held), torch.cat(kept)


def _trial(stages: Stages, threat: Threat, index: torch.Tensor, start: int) -> SystemTrial:
    """A trial of the images at `index`; those behind the first have another stream."""
    level, test = stages.config.audit.level, stages.test.take(index)
    return SystemTrial(
        replace(stages.system, deployed=stages.deployed),
        test.float_images(),
        test.labels,
        threat,
        derive(stages.config.seed, "remaining", threat, *([start] if start else [])),
        steps=SEARCH_STEPS[level],
        thrifty=level == "quick",
        unasked=stages.unasked,
        fork=stages.fork,
    )


def _modules(
    given: Mapping[str, Callable[[], nn.Module]],
    trial: SystemTrial,
    twin: bool,
    forms: tuple[str, ...],
) -> Iterator[tuple[str, nn.Module]]:
    """What is searched on, by name; the twin first."""
    if twin:
        yield "the twin", trial.system.twin
    for name, other in trial.system.others.items():
        if twin_form(name) in forms:
            yield twin_form(name), other
    if SMOOTHER in forms and trial.smoother is not None:
        yield SMOOTHER, trial.smoother
    for name, make in given.items():
        if form_of(name) in forms:
            yield form_of(name), make()


def _read(folder: Path, grid: bool) -> Searched:
    about = json.loads((folder / "value.json").read_text(encoding="utf-8"))
    held = np.array(about["held"], dtype=bool)
    return Searched(held, read_found(folder, grid), about["seconds"])
