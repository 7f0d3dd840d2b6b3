"""The same function over many items, on all processors, results in order."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
FEW = 200
"""Items for which starting processes would take longer than the work."""
CHUNK = 50


class Each(Protocol):
    """Yields `function(item)` in the order of the items; the function is a module's own."""

    def __call__(
        self, function: Callable[[Item], Result], items: Sequence[Item]
    ) -> Iterator[Result]:
        """Apply the function."""
        ...


def one_by_one(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """In this process."""
    return map(function, items)


@contextmanager
def uncollected() -> Iterator[None]:
    """Leave cycles alone: what many records are made into is freed by reference counts, and looking
    for cycles among it costs a fifth of the time."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


@contextmanager
def workers(count: int) -> Iterator[Each]:
    """A way through `count` items: processes when there are many items and processors.

    Open it early: processes that start late copy all that this one holds by then.
    """
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    if count < FEW or processors == 1:
        yield one_by_one
        return
    with uncollected(), ProcessPoolExecutor(processors, initializer=gc.disable) as pool:
        # The first task makes the pool start its processes, now, while they are small.
        pool.submit(os.getpid).result()

        def each(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
            return pool.map(function, items, chunksize=CHUNK)

        yield each
