"""The plan of a run: everything that it would refuse is refused here, nothing is trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robench.base.errors import UserError
from robench.core.threat import eps_text
from robench.records.store import RECORD, read
from robench.run.attacks import scenarios
from robench.run.cache import Cache
from robench.run.pipeline import prepare_machine
from robench.run.plan import check_steps
from robench.run.stages import Stages, stages

if TYPE_CHECKING:
    from robench.core.record import Record
    from robench.run.config import AuditConfig, Places, RunConfig

ALIKE = ("dataset", "model", "defense", "compressor", "attack")
"""Kinds whose choices make two runs take about equally long."""


@dataclass(frozen=True)
class Step:
    """A step of a run, in words; `cached` says whether it is there already, None if unknown."""

    name: str
    what: str
    cached: bool | None = None


@dataclass(frozen=True)
class Planned:
    """What a run would do."""

    id: str
    steps: tuple[Step, ...]
    done: bool
    """Whether its record is there already."""
    seconds: float | None
    """What an earlier run of the same choices took, None where there was none."""
    like: str
    """The id of that run."""

    def plain(self, config: RunConfig, places: Places) -> dict[str, Any]:
        """The plan as JSON-like data, with the whole configuration."""
        return {
            "id": self.id,
            **config.plain(),
            "recipe": vars(config.recipe),
            "places": {name: str(value) for name, value in vars(places).items()},
            "steps": [vars(step) for step in self.steps],
            "done": self.done,
            "seconds": self.seconds,
        }


def planned(config: RunConfig, places: Places) -> Planned:
    """Check a run as far as can be without training it, and say what it would do.

    The device is asked, the folders are probed, and an untrained network is taken through the
    steps after training. Of data that are not in the cache yet the labels and the first images are
    read, of small ones all; what needs data that are to be downloaded is left to the run. Raises
    what the run would raise.
    """
    prepare_machine(places)
    steps = stages(config, places, Cache(places.cache))
    cached = steps.data_at_hand
    here = steps.outline()
    if here:
        check_steps(steps)
    seconds, like = _estimate(config, places.results)
    done = (places.results / config.id / RECORD).is_file()
    plan = tuple(_steps(steps, here=here, cached=cached))
    return Planned(config.id, plan, done, seconds, like)


def _steps(steps: Stages, *, here: bool, cached: bool) -> Iterator[Step]:
    config = steps.config
    name = next(iter(config.dataset))
    told = name if here else f"{name}, to be downloaded: what needs them is not checked"
    yield Step("data", told, cached if here else None)
    yield Step("train", _training(steps), steps.is_trained if here else None)
    defenses, compressor = "+".join(config.defense), next(iter(config.compressor))
    yield Step("system", f"defense={defenses} compressor={compressor}")
    images = len(steps.subset) if here else config.images or "all"
    yield Step("attack", f"{'; '.join(_attacks(steps)) if here else _named(config)}")
    yield Step("audit", _audit(config.audit, len(steps.subset) if here else config.images))
    yield Step("measure", f"{', '.join(config.metric)} on {images} test images")


def _audit(audit: AuditConfig, images: int | None) -> str:
    """Its level, and on how many images it works; None of `images`: not known yet."""
    if not audit.count:
        return audit.level
    some = "" if images and images <= audit.count else f", its checks on {audit.count}"
    return f"{audit.level}, on {images or 'all'} images{some}"


def _named(config: RunConfig) -> str:
    return ", ".join(config.attack) or "none"


def _attacks(steps: Stages) -> Iterator[str]:
    """Each attack with the threats that it meets."""
    found: dict[str, list[str]] = {}
    for one in scenarios(steps):
        access = "" if one.access in ("white_box", "none") else f" ({one.access})"
        eps = one.threat.eps
        size = "no limit" if eps is None else eps_text(eps)
        found.setdefault(f"{one.attack}{access}", []).append(f"{one.threat.norm} {size}")
    if not found:
        yield "none"
    for name, threats in found.items():
        yield f"{name} at {', '.join(threats)}"


def _training(steps: Stages) -> str:
    if steps.ships_file and steps.model.arrives_finished:
        return "nothing: the file is what ships"
    if steps.comes_trained:
        return "nothing: the network comes trained"
    defense = steps.trainer_defense
    own = next((n for n, d in steps.config.defense.items() if d is defense), "plain")
    return f"{own}, {steps.config.recipe.epochs} epochs"


def _estimate(config: RunConfig, results: Path) -> tuple[float | None, str]:
    """The longest that a run of the same choices took: a cached one took next to nothing."""
    wanted = {kind: list(getattr(config, kind)) for kind in ALIKE}
    best: tuple[float | None, str] = (None, "")
    for path in results.glob(f"[!.]*/{RECORD}"):
        try:
            record = read(path.parent)
        except UserError:
            continue
        took = record.timings.get("run")
        if took and _choices(record) == wanted and took > (best[0] or 0.0):
            best = took, record.id
    return best


def _choices(record: Record) -> dict[str, list[str]]:
    return {kind: list(record.config.get(kind) or ()) for kind in ALIKE}
