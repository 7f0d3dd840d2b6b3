"""A record's models again: on the model that it kept, else from training."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from robench.core.record import Record
from robench.plugin.evidence import Evidence
from robench.records.retired import current
from robench.records.store import artefact, read
from robench.run import reopen
from robench.run.compose import from_plain
from robench.run.config import Places, RunConfig
from robench.run.pipeline import prepare_machine


@dataclass(frozen=True)
class Rebuilt:
    """A record and what its configuration makes here, each part when first asked for."""

    record: Record
    config: RunConfig
    places: Places
    kept: Path | None = None
    """The integer program or the weights that stand for the network."""

    @cached_property
    def evidence(self) -> Evidence:
        """Data and models; nothing is attacked."""
        return reopen.evidence(self.config, self.places, self.kept)


def rebuild(folder: Path, places: Places) -> Rebuilt:
    """A record on the integer program or the weights that it kept.

    Without them its network comes from the cache or is trained again, which is said.
    """
    rebuilt = _trainable(folder, places)
    if kept := artefact(folder):
        return replace(rebuilt, kept=kept)
    if not reopen.is_trained(rebuilt.config, rebuilt.places):
        text = "keeps no model and its network is not in the cache: training it again"
        print(f"robench: {folder.name} {text}", file=sys.stderr)  # noqa: T201
    return rebuilt


def rebuild_trained(folder: Path, places: Places) -> Rebuilt:
    """As `rebuild`, but a network in the cache goes first: its twin is the one that was attacked.

    A twin made from a program is very nearly the same.
    """
    rebuilt = _trainable(folder, places)
    here = reopen.is_trained(rebuilt.config, rebuilt.places)
    return rebuilt if here else rebuild(folder, places)


def _trainable(folder: Path, places: Places) -> Rebuilt:
    record = read(folder)
    # Trained bits depend on the number of threads.
    places = replace(places, threads=record.provenance.trained_threads)
    prepare_machine(places)
    return Rebuilt(record, from_plain(current(record.config), record.provenance.components), places)
