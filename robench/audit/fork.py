"""A system as it was before it was asked anything, in a process that was forked off then.

Nothing that a network keeps in memory afterwards is in that process, wherever it is kept. What it
keeps in a file, or in another process, is.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import weakref
from collections.abc import Callable
from contextlib import suppress
from math import prod
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import NoReturn

import torch
from torch import Tensor

from robench.base.seeds import generator, seed_scope
from robench.core.system import System
from robench.core.threat import Threat
from robench.plugin import guest
from robench.search import GradientSearch, searching
from robench.search.gradient import loss_gradient
from robench.search.losses import resolve_loss

PATIENCE = 60
"""Seconds that an answer may take: what holds a lock in another thread may hold it for ever."""

Question = tuple[object, ...]


class NotForked(Exception):
    """A system that cannot be taken along into another process, or gave no answer there."""


class Fork:
    """The system as it is now, to which every question is the first.

    Raises NotForked where processes do not fork safely: off Linux, and beside a device.
    """

    def __init__(self, system: System) -> None:
        tensors = (*system.twin.parameters(), *system.twin.buffers())
        if sys.platform != "linux" or any(one.device.type != "cpu" for one in tensors):
            raise NotForked
        if torch.cuda.is_initialized():
            raise NotForked
        self._pipe, theirs = Pipe()
        self._pid = os.fork()
        if self._pid == 0:
            _keep(system, theirs)
        theirs.close()
        weakref.finalize(self, _end, os.getpid(), self._pid, self._pipe)

    def labels(self, images: Tensor, seed: int) -> Tensor:
        """Labels of float32 images in [0,1], shape (N, C, H, W), on the CPU: int64 (N,)."""
        return self._answered((_labels, images, seed), (len(images),)).long()

    def first(self, images: Tensor, labels: Tensor, few: int, seed: int) -> tuple[Tensor, Tensor]:
        """Labels of images as `labels`, and then the gradients of `answers` of the first `few`."""
        shape = images[:few].shape
        asked = (_first, images, labels, few, seed)
        found = self._answered(asked, (len(images) + shape.numel(),))
        return found[: len(images)].long(), found[len(images) :].view(shape)

    def candidates(
        self, search: GradientSearch, images: Tensor, labels: Tensor, threat: Threat, seed: int
    ) -> Tensor:
        """Legal candidates that a search finds on the twin: the shape of `images`."""
        asked = (_candidates, search, images, labels, threat, seed)
        found = self._answered(asked, tuple(images.shape))
        return threat.project(guest.plain_tensor(found, tuple(images.shape)), images)

    def _answered(self, question: Question, shape: tuple[int, ...]) -> Tensor:
        """Numbers, and no object: the other process runs foreign code. Raises NotForked."""
        size = prod(shape) * torch.float32.itemsize
        try:
            self._pipe.send_bytes(pickle.dumps(question))
            told = self._told(size)
            ended = not told or not self._told(0)
        except (OSError, EOFError) as error:
            raise NotForked from error
        if len(told) != size or not ended:
            raise NotForked
        return torch.frombuffer(bytearray(told), dtype=torch.float32).view(shape)

    def _told(self, size: int) -> bytes:
        if not self._pipe.poll(PATIENCE + 10):
            raise EOFError
        return self._pipe.recv_bytes(size)


class Beside:
    """The questions of `Fork`, asked of a system in this process that forgets every one."""

    def __init__(self, system: System) -> None:
        self._system = system

    def labels(self, images: Tensor, seed: int) -> Tensor:
        """See Fork."""
        return _labels(self._system, images, seed)

    def first(self, images: Tensor, labels: Tensor, few: int, seed: int) -> tuple[Tensor, Tensor]:
        """See Fork."""
        return answers(self._system, images, labels, few, seed)

    def candidates(
        self, search: GradientSearch, images: Tensor, labels: Tensor, threat: Threat, seed: int
    ) -> Tensor:
        """See Fork."""
        found = _candidates(self._system, search, images, labels, threat, seed)
        return threat.project(guest.plain_tensor(found, tuple(images.shape)), images)


def answers(
    system: System, images: Tensor, labels: Tensor, few: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Labels of images, and then the twin's gradients of cross-entropy at the first `few`."""
    given = _labels(system, images, seed)
    with searching(system.twin), seed_scope(seed):
        loss = resolve_loss("cross_entropy")
        found = loss_gradient(system.twin, images[:few].clone(), labels[:few], loss).gradient
    assert found is not None
    return given, found.float()


def _labels(system: System, images: Tensor, seed: int) -> Tensor:
    with seed_scope(seed):
        return system.deployed.predict(images.clone())


def _first(system: System, images: Tensor, labels: Tensor, few: int, seed: int) -> Tensor:
    given, found = answers(system, images, labels, few, seed)
    return torch.cat([given.float(), found.flatten()])


def _candidates(
    system: System,
    search: GradientSearch,
    images: Tensor,
    labels: Tensor,
    threat: Threat,
    seed: int,
) -> Tensor:
    with seed_scope(seed):
        return search.run(system.twin, images, labels, threat, generator(seed, "audit", "fork"))


def _keep(system: System, pipe: Connection) -> NoReturn:
    """Hold the system as it is, and let a copy of this process answer each question."""
    with suppress(BaseException):
        # A group of its own: Ctrl-C is the parent's, and killing the group ends every answer.
        os.setpgid(0, 0)
        _leave_all_but(pipe.fileno())
        torch.set_num_threads(1)
        while True:
            question = pickle.loads(pipe.recv_bytes())  # of its own parent
            pid = os.fork()
            if pid == 0:
                _answer(system, pipe, *question)
            os.waitpid(pid, 0)
            # After every answer, and instead of one that never came.
            pipe.send_bytes(b"")
    os._exit(0)


def _answer(
    system: System, pipe: Connection, work: Callable[..., Tensor], *given: object
) -> NoReturn:
    with suppress(BaseException):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(PATIENCE)
        pipe.send_bytes(work(system, *given).detach().float().contiguous().numpy().tobytes())
        os._exit(0)
    os._exit(1)


def _leave_all_but(kept: int) -> None:
    """Let go of open files: a lock that is held here as well would outlast its owner's release."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(nowhere, standard)
    os.closerange(3, kept)
    os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))


def _end(owner: int, pid: int, pipe: Connection) -> None:
    """End the process and its answers; a copy of its owner that is done with it does not."""
    pipe.close()
    if os.getpid() != owner:
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)
