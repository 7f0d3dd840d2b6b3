"""A launcher's signal ends a job, and nothing on the way takes it for an error."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from robench.base.signals import Stopped, stopped_by_signals


@pytest.fixture
def handler() -> Iterator[object]:
    """What submitit has for SIGUSR2 when it may not requeue a job."""

    def handle(number: int, frame: FrameType | None) -> None:
        raise RuntimeError("Job not requeued because: timed-out too many times.")

    before = signal.signal(signal.SIGUSR2, handle)
    yield handle
    signal.signal(signal.SIGUSR2, before)


def test_what_a_handler_raises_ends_the_job(handler: object) -> None:
    def an_attack_that_catches_all() -> None:
        try:
            os.kill(os.getpid(), signal.SIGUSR2)
        except Exception:
            pytest.fail("an attack took the time limit for an error of its own")

    with pytest.raises(Stopped, match="SIGUSR2: Job not requeued"), stopped_by_signals():
        an_attack_that_catches_all()
    assert signal.getsignal(signal.SIGUSR2) is handler
