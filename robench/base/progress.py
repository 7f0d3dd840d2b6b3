"""Progress of long work: a bar with rate and time left, plain lines without a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[..., None]
SECONDS_BETWEEN_LINES = 10.0


_QUIET: list[bool] = []


_ABOUT: list[str] = []
"""What the work is about that goes on, the whole first."""


@contextmanager
def about(what: str) -> Iterator[None]:
    """Begin what progress is shown in the meantime with what it is about, such as a record."""
    _ABOUT.append(what)
    try:
        yield
    finally:
        _ABOUT.pop()


def be_quiet() -> None:
    """Show no progress from now on, in this process."""
    _QUIET.append(True)


@contextmanager
def progress(what: str, total: int, unit: str = "img", done: int = 0) -> Iterator[Advance]:
    """Show work of `total` units; call the yielded function with units done and a note."""
    how = _nothing if _QUIET else _bar if sys.stderr.isatty() else _lines
    show = how(": ".join([*_ABOUT, what]), total, unit, done)
    with show as advance:
        yield advance


@contextmanager
def _nothing(what: str, total: int, unit: str, earlier: int) -> Iterator[Advance]:
    del what, total, unit, earlier
    yield lambda count, note="": None


@contextmanager
def _bar(what: str, total: int, unit: str, earlier: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    columns = [
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeLeft(),
        TextColumn("{task.fields[note]}", markup=False),
    ]
    start, done = time.monotonic(), 0
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(what, total=total, completed=earlier, rate="", note="")

        def advance(count: int, note: str = "") -> None:
            nonlocal done
            done += count
            rate = done / max(time.monotonic() - start, 1e-9)
            bars.update(task, advance=count, rate=f"{rate:,.0f} {unit}/s", note=note)

        yield advance


@contextmanager
def _lines(what: str, total: int, unit: str, earlier: int) -> Iterator[Advance]:
    start = last = time.monotonic()
    done = 0

    def advance(count: int, note: str = "") -> None:
        nonlocal done, last
        done += count
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            rate = done / (now - start)
            left = (total - earlier - done) / rate
            share = (earlier + done) / total
            text = f"{what}: {share:.0%}, {rate:,.0f} {unit}/s, {left:.0f} s left {note}"
            print(text.rstrip(), file=sys.stderr, flush=True)  # noqa: T201

    yield advance
