"""The record under verification, and its model on the data set's own images."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from robench.base.errors import ConfigError, DataError
from robench.base.paths import expand_home
from robench.base.seeds import derive, seed_scope
from robench.core.outcomes import Outcomes, RowOutcomes
from robench.core.record import AttackRow, Record
from robench.core.system import System
from robench.core.threat import Threat
from robench.records.store import artefact
from robench.replay.steps import NotDone, Refuted, surely_more
from robench.run import reopen
from robench.run.config import Places
from robench.run.pipeline import prepare_machine
from robench.run.stages import Stages

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from robench.core.data import Split
    from robench.plugin.guest import Answers

Place = tuple[str, str, str, float | None]
"""A row: its attack, access, norm and eps."""

FLOATS_DIFFER = 0.02
"""Share of labels in which another machine's floats may differ."""


@dataclass(frozen=True)
class Subject:
    """A record, and its model as it ships, made from the file that the record keeps."""

    folder: Path
    record: Record
    outcomes: Outcomes
    kept: Path
    """The file of the model."""
    stages: Stages
    unknown: Mapping[str, str]
    """Attacks and certifiers that are not known here, with the reason."""
    seed: int
    """What the samples and the answers of a randomised model are drawn by."""
    counted: set[Place] = field(default_factory=set)
    """The rows whose gradients and queries were counted again."""

    @property
    def test(self) -> Split:
        """The judged images, of the data set itself."""
        return self.stages.test

    @cached_property
    def system(self) -> System:
        """The system that the record judged."""
        return self.stages.system

    @property
    def deployed(self) -> Answers:
        """The model that the record judged, asked as a run asks it."""
        return self.stages.deployed

    @property
    def randomised(self) -> bool:
        """Whether two answers about the same image may differ."""
        return self.deployed.randomised

    @property
    def exact(self) -> bool:
        """Whether integers alone decide the labels, the same on every machine."""
        return self.deployed.exact

    @property
    def valid(self) -> list[AttackRow]:
        """The rows whose attack worked, in the order of their examples."""
        return [row for row in self.record.rows if row.status != "invalid"]

    def part(self, row: AttackRow) -> RowOutcomes:
        """The outcomes of a row."""
        return self.outcomes.find(row.attack, row.access, row.norm, row.eps)

    def threat(self, row: AttackRow) -> Threat:
        """What a row's examples must keep to: noise is not held to a ball."""
        free = row.eps is None or self.part(row).search == "noise"
        return Threat(row.norm, None if free else row.eps, self.stages.config.threat.grid)

    def labels(self, images: torch.Tensor, name: str) -> NDArray[np.int64]:
        """The model's labels of images in [0,1]; `name` seeds the answers of a randomised one."""
        with seed_scope(derive(self.seed, "labels", name)):
            found: NDArray[np.int64] = self.deployed.predict(images).numpy()
        return found

    def draw(
        self, name: str, positions: NDArray[np.int64], most: int, *, ordered: bool = True
    ) -> NDArray[np.int64]:
        """A sample of positions, increasing or as they were drawn, at most so many of them."""
        rng = np.random.default_rng(derive(self.seed, "sample", name))
        chosen = rng.permutation(positions)[:most]
        return np.sort(chosen) if ordered else chosen

    def require_labels(self, what: str, recorded: NDArray[Any], images: torch.Tensor) -> int:
        """Ask the model about images whose labels are recorded; returns how many differ.

        Raises Refuted for any difference of an exact model, of a float one for more than
        FLOATS_DIFFER of the judged images, and for a randomised one when the recorded labels surely
        differ from its answers more often than these do among themselves.
        """
        now = self.labels(images, what)
        different = int((recorded != now).sum())
        of = f"{what}: {different} of {len(now)} recorded labels are not the model's"
        if self.randomised:
            again = self.labels(images, f"{what} again")
            alone = int(((recorded != now) & (again == now)).sum())
            fewer = int(((recorded == now) & (again != now)).sum())
            if surely_more(alone, fewer, tests=max(len(self.valid), 1)):
                own = int((again != now).sum())
                raise Refuted(f"{of}, while two answers of its own differ on {own}")
        elif different > (0 if self.exact else FLOATS_DIFFER * len(self.test)):
            raise Refuted(of)
        return different


def open_subject(
    folder: Path, record: Record, outcomes: Outcomes, places: Places, seed: int
) -> Subject:
    """A record on the model that it keeps; raises NotDone where this cannot be had here."""
    kept = artefact(folder)
    if kept is None:
        raise NotDone("the record keeps no model")
    try:
        config, unknown = reopen.system_config(record.config)
    except ConfigError as error:
        raise NotDone(str(error)) from error
    for component in config.dataset.values():
        _refuse_paths(component, places.data_root)
    threads = min(max(record.provenance.threads, 1), os.cpu_count() or 1)
    places = replace(places, threads=threads)
    prepare_machine(places)
    stages = reopen.kept_stages(config, places, kept)
    try:
        here = stages.data.hash
    except DataError as error:
        raise NotDone(str(error)) from error
    if here != record.data.hash:
        raise NotDone(f"expected data {record.data.hash}, got {here} in {places.data_root}")
    return Subject(folder, record, outcomes, kept, stages, unknown, seed)


def _refuse_paths(component: Any, root: Path) -> None:
    """Open no file outside the data root because a record says so."""
    for option in fields(component):
        value = getattr(component, option.name)
        if not isinstance(value, str | Path) or not ("path" in option.name or os.sep in str(value)):
            continue
        if not expand_home(value).resolve().is_relative_to(root.resolve()):
            raise NotDone(
                f"the data are a file named by the record, {str(value)!r}, outside the data root; "
                "set ROBENCH_DATA to the folder that holds it"
            )
