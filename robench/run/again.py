"""The command that makes a record again: composed first, given only when its id is the same."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from robench.base.hashing import digest
from robench.base.paths import cache_folder
from robench.base.text import one_line, visible
from robench.collection.code import all_code
from robench.collection.sealed import read_sealed, write_sealed
from robench.collection.store import FOLDER
from robench.core.record import Record, run_id
from robench.records import protocols

MOST_THREADS = 1024
CHANGED = "its options have changed since, and so has the id they give"
SLOTS, LATEST = 3, 16
"""Hexadecimal digits of a command's file in the cache, and how many each holds."""


@dataclass(frozen=True)
class Again:
    """How a record is made again: a command, or why there is none."""

    command: str | None = None
    reason: str = ""


def again(record: Record) -> Again:
    """The command that makes a record again, from its checked configuration.

    Of a record with retired options it is that of the same run without them, which has another id.
    Its threads are those that the network was trained with: they decide every number that follows.
    """
    origins = record.provenance.components
    if any(origin.startswith("given in Python") for origin in origins.values()):
        return Again(reason="a component was handed over in Python, which no command can name")
    try:
        found = _found(_without_seed(record.config), json.dumps(origins))
        if isinstance(found, str) or not found or record.id != run_id(record.config):
            return Again(reason=found if isinstance(found, str) else CHANGED)
    except RecursionError as error:
        return Again(reason=one_line(error))
    words = [f"seed={record.config['seed']}" if word == "seed=0" else word for word in found]
    threads = record.provenance.trained_threads
    words += [f"threads={threads}"] if 0 < threads <= MOST_THREADS else []
    line = shlex.join(["robench", "run", *words])
    if one_line(line) != line or visible(line) != line:
        return Again(reason="an option holds characters that no terminal shows")
    return Again(line)


def _without_seed(config: Mapping[str, Any]) -> str:
    """The configuration as JSON, of seed 0 where its seed is a number.

    Replicates differ in their seed alone, which no other option depends on.
    """
    whole = type(config.get("seed")) is int and config["seed"] >= 0
    return json.dumps({**config, "seed": 0} if whole else config)


@lru_cache(4096)
def _found(asked: str, origins: str) -> tuple[str, ...] | str:
    """What `words_of` says of a configuration.

    The cache keeps them, where there is one, for to load Hydra takes a quarter of a second: who
    looks at a record gets no folder.
    """
    key = digest([all_code(), protocols.hashes(), asked, origins])
    kept = cache_folder() / FOLDER / f"commands-{key[:SLOTS]}"
    every: list[tuple[str, list[str] | str]] = read_sealed(kept) or []
    known = next((its for own, its in every if own == key), None)
    if known is None:
        from robench.run.command import words_of

        known = words_of(asked, origins)
        if cache_folder().is_dir():
            with suppress(OSError):
                write_sealed(kept, [(key, known), *every][:LATEST])
    return known if isinstance(known, str) else tuple(known)
