"""A record's steps again: its integer program where it kept one, else its network from training."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from robench.core.data import Data
from robench.core.record import Record
from robench.records.store import PROGRAM, read
from robench.run.cache import Cache
from robench.run.compose import from_plain
from robench.run.config import Places, RunConfig
from robench.run.pipeline import prepare_machine
from robench.run.stages import Steps


def rebuild(folder: Path, places: Places) -> tuple[Record, Steps]:
    """A record and its steps, on the integer program that it kept.

    Without one its network comes from the cache or is trained again, which is said.
    """
    record, steps = _trainable(folder, places)
    kept = folder / PROGRAM
    if kept.is_file():
        return record, Steps(steps.config, steps.places, steps.cache, kept)
    if not steps.is_trained:
        text = "keeps no integer program and its network is not in the cache: training it again"
        print(f"robench: {folder.name} {text}", file=sys.stderr)  # noqa: T201
    return record, steps


def rebuild_trained(folder: Path, places: Places) -> tuple[Record, Steps]:
    """As `rebuild`, but a network in the cache goes first: its twin is the one that was attacked.

    A twin made from a program is very nearly the same.
    """
    record, steps = _trainable(folder, places)
    return (record, steps) if steps.is_trained else rebuild(folder, places)


def data_of(config: RunConfig, places: Places) -> Data:
    """The whole data set of a configuration; raises ConfigError or DataError where it is not."""
    return Steps(config, places, Cache(places.cache)).data


def _trainable(folder: Path, places: Places) -> tuple[Record, Steps]:
    record = read(folder)
    # Trained bits depend on the number of threads.
    places = replace(places, threads=record.provenance.threads)
    prepare_machine(places)
    return record, Steps(from_plain(record.config), places, Cache(places.cache))
