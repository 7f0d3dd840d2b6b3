"""Whether somebody pressed Ctrl-C, or foreign code raised KeyboardInterrupt by itself."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Interrupt:
    """Whether SIGINT arrived."""

    arrived: bool = False


@contextmanager
def watch_interrupt() -> Iterator[Interrupt]:
    """Note SIGINT while the block runs; it does what it did before."""
    noted = Interrupt()
    usual = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: FrameType | None) -> None:
        noted.arrived = True
        if callable(usual):
            usual(number, frame)

    # Python delivers signals to the main thread alone, and lets no other set a handler.
    if threading.current_thread() is not threading.main_thread() or not callable(usual):
        yield noted
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, usual)
