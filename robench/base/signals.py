"""Signals that arrive while foreign code runs: what they raise is told from what it raises."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from robench.base.text import one_line

SIGNALS = (
    *("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGVTALRM"),
    *("SIGPROF", "SIGXCPU", "SIGCONT", "SIGCHLD", "SIGPIPE", "SIGBREAK"),
)
"""Signals by which a person or a launcher speaks to a run."""


class Stopped(BaseException):
    """A launcher's signal ended the job: nobody's fault, and nobody's to catch."""


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Raise Stopped for every error that the handler of a signal raises in the block.

    A launcher ends a job by an error out of its handler, which work that catches errors of its own
    would take for one of them.
    """
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in _known_signals():
            handler = signal.getsignal(number)
            if callable(handler):
                before[number] = handler
                signal.signal(number, _stopping(handler))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stopping(handler: Callable[[int, FrameType | None], Any]) -> Any:
    def handle(number: int, frame: FrameType | None) -> Any:
        try:
            return handler(number, frame)
        except Exception as error:
            raise Stopped(f"{signal.Signals(number).name}: {one_line(error)}") from error

    return handle


class Signals:
    """Python's handlers of signals, wrapped so that one that raises is known to have done so."""

    def __init__(self) -> None:
        self.raised: BaseException | None = None
        self._before: dict[int, Any] = {}
        self._during: dict[int, Any] = {}
        # Handlers run, and can be set, in the main thread alone.
        if threading.current_thread() is threading.main_thread():
            for number in _known_signals():
                handler = signal.getsignal(number)
                if handler is None:  # not from Python: it cannot be put back
                    continue
                self._before[number] = self._during[number] = handler
                if callable(handler):
                    self._during[number] = self._recorded(handler)
                    signal.signal(number, self._during[number])

    def _recorded(self, handler: Callable[[int, FrameType | None], Any]) -> Any:
        def handle(number: int, frame: FrameType | None) -> Any:
            try:
                return handler(number, frame)
            except BaseException as error:
                self.raised = error
                raise

        return handle

    def put_back(self) -> list[str]:
        """The handlers as they were; returns what had changed, in words."""
        changed = []
        for number, handler in self._before.items():
            now = signal.getsignal(number)
            if now is not self._during[number]:
                changed.append(f"the handler of {signal.Signals(number).name}")
            if now is not handler:
                signal.signal(number, handler)
        return changed


def _known_signals() -> list[int]:
    return [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
