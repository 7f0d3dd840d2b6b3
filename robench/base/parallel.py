"""The same function over many items, on all processors, results in order."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
FEW = 200
"""Items for which starting processes would take longer than the work."""
CHUNK = 50
SECONDS_ALONE = 0.5
"""How often a worker looks whether its parent is still there."""


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
def workers(count: int, chunk: int = CHUNK) -> Iterator[Each]:
    """A way through `count` items: processes when there are many items and processors.

    Each process gets `chunk` of what it is given at a time. Open it early: processes that start
    late copy all that this one holds by then. They end with this one, however it ends.
    """
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    if count < FEW or processors == 1:
        yield one_by_one
        return
    with (
        uncollected(),
        ProcessPoolExecutor(processors, initializer=_begin, initargs=(os.getpid(),)) as pool,
    ):
        # The first task makes the pool start its processes, now, while they are small.
        pool.submit(os.getpid).result()

        def each(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
            return pool.map(function, items, chunksize=chunk)

        yield each


def _begin(parent: int) -> None:
    gc.disable()
    # Ctrl-C is the parent's to tell of.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process when its parent was killed: it holds the parent's locks as long as it is."""
    while os.getppid() == parent:
        time.sleep(SECONDS_ALONE)
    os._exit(1)
