"""Explicit seeds: derived streams, and a scope for foreign code that draws from global ones."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import torch


def derive(seed: int, *names: object) -> int:
    """A 63-bit seed for the stream `names` below `seed`: different names, unrelated streams."""
    text = "\x1f".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *names: object) -> torch.Generator:
    """A CPU torch generator for the stream `names` below `seed`."""
    return torch.Generator().manual_seed(derive(seed, *names))


_SCOPES = threading.local()


def in_seed_scope() -> bool:
    """Whether a seed scope of this thread puts the global generators back."""
    return getattr(_SCOPES, "open", 0) > 0


@contextmanager
def seed_scope(seed: int) -> Iterator[None]:
    """Seed python's, numpy's and torch's global generators; afterwards put their states back."""
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=None if _accelerated() else ()):
        random.seed(seed)
        np.random.seed(seed % 2**32)
        if _accelerated():
            torch.manual_seed(seed)
        else:
            # Where there is none, each accelerator's own seeding takes half a millisecond, and
            # keeps a traceback, to be done once there is one.
            torch.default_generator.manual_seed(seed)
        _SCOPES.open = getattr(_SCOPES, "open", 0) + 1
        try:
            yield
        finally:
            _SCOPES.open -= 1
            random.setstate(states[0])
            np.random.set_state(states[1])


def global_states() -> dict[str, Any]:
    """States of python's, numpy's and torch's global generators, as plain values and tensors."""
    name, words, *rest = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": (str(name), torch.from_numpy(np.asarray(words, np.int64)), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_global_states(states: Mapping[str, Any]) -> None:
    """Put the global generators into states that `global_states` gave."""
    random.setstate(states["python"])
    name, words, *rest = states["numpy"]
    np.random.set_state((name, words.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(states["torch"])
    if states["cuda"]:
        torch.cuda.set_rng_state_all(states["cuda"])


@cache
def _accelerated() -> bool:
    return torch.accelerator.is_available()
