"""Votes counted in C: noise, network, argmax and counts in one call, with threads."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from robench.base.errors import RobenchError, UserError
from robench.smoothing.noise import Noise, NoiseTable, noise_table
from robench.smoothing.philox import Keys, keys_of
from robench.smoothing.votes import as_pixels


def vote_source(engine: str, adapter: str | None = None) -> str:
    """The C of a network with `rb_votes` and `rb_noise_of` appended, one C99 translation unit.

    `engine` is what robench.integer generates; `adapter` gives another network the interface that
    csrc/votes.h states. Compile with -std=gnu99 (or c11) -O3 -shared -fPIC -pthread.
    """
    middle = csrc("engine.h") if adapter is None else adapter
    return "\n".join([engine, csrc("noise.h"), middle, csrc("votes.h"), csrc("threads.h")])


def csrc(name: str) -> str:
    """A C source of this package."""
    return (files("robench.smoothing") / "csrc" / name).read_text(encoding="utf-8")


class CNoise(ctypes.Structure):
    """`rb_noise` of csrc/noise.h; keep the table alive as long as it is used."""

    _fields_ = (
        ("lut", ctypes.c_void_p),
        ("high", ctypes.c_void_p),
        ("low", ctypes.c_void_p),
        ("bound", ctypes.c_int32),
        ("key", ctypes.c_uint64 * 2),
        ("further_key", ctypes.c_uint64),
    )

    @classmethod
    def of(cls, table: NoiseTable, keys: Keys) -> CNoise:
        """The struct of a table and the keys of a seed."""
        pointers = (a.ctypes.data for a in (table.lut, table.high, table.low))
        return cls(*pointers, table.bound, (ctypes.c_uint64 * 2)(*keys.leading), keys.further)


@dataclass(frozen=True, kw_only=True)
class CompiledVotes:
    """Votes of a compiled network: the same counts as IntegerVotes, for any number of threads.

    `library` was compiled from `vote_source`; `images` are uint8, (N, ...); `variant` is the
    engine's instruction set; `streams` as in IntegerVotes. `votes` raises RobenchError when
    memory ran out.
    """

    library: ctypes.CDLL
    images: NDArray[np.uint8]
    classes: int
    noise: Noise
    seed: int
    threads: int = 1
    variant: int = 0
    streams: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        as_pixels(self.images)
        if not 1 <= self.threads <= 64:
            raise UserError(f"expected 1 to 64 threads, got {self.threads}; give the cores to use")

    @property
    def pixels(self) -> int:
        """Pixels of an image, channels included."""
        return int(np.prod(self.images.shape[1:]))

    def votes(self, images: NDArray[np.int64], first_draw: int, count: int) -> NDArray[np.int64]:
        """See VoteSource."""
        rows = as_pixels(self.images[images])
        streams = np.asarray(images if self.streams is None else self.streams[images], np.int64)
        counts = np.zeros((len(rows), self.classes), dtype=np.int64)
        failed = self.library.rb_votes(
            ctypes.byref(CNoise.of(noise_table(self.noise), keys_of(self.seed))),
            ctypes.c_int(self.variant),
            _address(rows),
            _address(np.ascontiguousarray(streams)),
            ctypes.c_int64(len(rows)),
            ctypes.c_int64(first_draw),
            ctypes.c_int64(count),
            ctypes.c_int(self.threads),
            _address(counts),
        )
        if failed:
            raise RobenchError("expected memory for the vote loop, got none; use fewer threads")
        return counts


def _address(array: NDArray[np.generic]) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)
