"""Does a process forked off before the first question show a memory, wherever it is kept?"""

from __future__ import annotations

import contextvars
import functools
import gc
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from robench.audit import fork as forks
from robench.audit.checks.memory import Memory
from robench.audit.checks.process import PROCESS, PROCESS_TIRES, FreshProcess
from robench.audit.fork import Fork, NotForked
from robench.audit.unasked import NotCopied, Unasked
from robench.audit.verdict import share_finding
from robench.core.system import System
from tests.audit.test_memory import Remembering, shipped, trial
from tests.audit.zoo import Zoo

VARIABLE: contextvars.ContextVar[list[Tensor]] = contextvars.ContextVar("kept", default=[])  # noqa: B039  # what is tested


@functools.lru_cache
def cached() -> list[Tensor]:
    return []


class OutOfReach(Remembering):
    """Keeps what it is asked where no look at its objects finds it."""

    def __init__(self, model: nn.Module, kept: Callable[[], list[Tensor]]) -> None:
        super().__init__(model)
        self.kept = kept  # type: ignore[method-assign]


def in_sys() -> list[Tensor]:
    kept: list[Tensor] = sys.__dict__.setdefault("kept_by_a_network", [])
    return kept


BOXES = np.empty(1, object)
BOXES[0] = []
PLACES: dict[str, Callable[[], list[Tensor]]] = {
    "a library": in_sys,
    "a cached function": cached,
    "a context variable": VARIABLE.get,
    "an array of objects": lambda: BOXES[0],
}


@pytest.fixture(autouse=True)
def forgotten() -> None:
    for kept in PLACES.values():
        kept().clear()


@pytest.mark.parametrize("place", PLACES)
def test_a_memory_that_no_look_finds_shows_in_another_process(zoo: Zoo, place: str) -> None:
    made = trial(zoo, shipped(OutOfReach(zoo.base(), PLACES[place])))
    assert [one.check for one in Memory().look(made)] == ["changing_scores"]
    made.findings = []
    found = {one.check: one.verdict for one in FreshProcess().look(made)}
    assert found[PROCESS] == "fail"
    assert made.held.float().mean() < 0.3


class Fading(nn.Module):
    """Its gradient alone fades with every question, counted where no look finds it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        asked = in_sys()
        asked.append(torch.zeros(()))
        true = self.model(x)
        decoy = x.flatten(1).mean(1, keepdim=True) * true.detach()
        share = 0.5 ** min(len(asked), 60)
        return (
            true.detach() + share * (true - true.detach()) + (1 - share) * (decoy - decoy.detach())
        )


def test_gradients_that_fade_show_in_another_process(zoo: Zoo) -> None:
    made = trial(zoo, shipped(Fading(zoo.base())))
    found = {one.check: one.verdict for one in FreshProcess().look(made)}
    assert found == {PROCESS_TIRES: "fail"}


class Diary(nn.Module):
    """Notes each question where no look finds it, and never reads that."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        in_sys().append(x.detach().mean())
        logits: Tensor = self.model(x)
        return logits


def test_nothing_is_said_of_a_network_that_answers_the_same(zoo: Zoo) -> None:
    made = trial(zoo, shipped(Diary(zoo.base())))
    made.thrifty = False
    assert list(FreshProcess().look(made)) == []


class Then(nn.Module):
    """Does something else from its second question on."""

    def __init__(self, model: nn.Module, then: Callable[[], Any]) -> None:
        super().__init__()
        self.model, self.then = model, then

    def forward(self, x: Tensor) -> Tensor:
        if os.getpid() != OWN:
            self.then()
        logits: Tensor = self.model(x)
        return logits


OWN = os.getpid()


def hang() -> None:
    time.sleep(60)


def leave() -> None:
    os._exit(0)


def fail() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("then", [hang, leave, fail])
def test_what_gives_no_answer_there_is_suspect(
    zoo: Zoo, then: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forks, "PATIENCE", 1)
    monkeypatch.setattr("tests.audit.test_fork.OWN", os.getpid())
    made = trial(zoo, shipped(Then(zoo.base(), then)))
    made.thrifty = False  # little is left of it, so that a thrifty audit would not ask
    [told] = FreshProcess().look(made)
    assert (told.verdict, told.value) == ("suspect", None)
    assert told.sentence.endswith("was not tested")


def system_of(network: nn.Module) -> System:
    return shipped(network.eval())


def test_every_question_is_the_first(zoo: Zoo) -> None:
    network = Fading(zoo.base())
    fork, test = Fork(system_of(network)), zoo.lesson.test.take(torch.arange(5))
    images = test.float_images()
    network(images)
    (_, first), (_, again) = (fork.first(images, test.labels, 5, 0) for _ in range(2))
    assert torch.equal(first, again)
    assert len(in_sys()) == 1


def test_the_process_ends_with_its_owner_and_holds_no_lock(tmp_path: Path) -> None:
    script = f"""
        import fcntl, os, torch
        from torch import nn
        from robench.audit.fork import Fork
        from robench.core.system import FloatDeployed, System
        lock = open({str(tmp_path / "lock")!r}, "w")
        fcntl.flock(lock, fcntl.LOCK_EX)
        network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).eval()
        fork = Fork(System(FloatDeployed(network), network))
        fork.labels(torch.zeros(1, 1, 2, 2), 0)
        print(fork._pid, flush=True)
        lock.close()
        again = open({str(tmp_path / "lock")!r}, "w")
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.kill(os.getpid(), 9)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert ends(int(done.stdout))


def test_the_process_ends_when_it_is_no_longer_needed(zoo: Zoo) -> None:
    fork = Fork(system_of(zoo.base()))
    pid = fork._pid
    del fork
    gc.collect()
    assert ends(pid)


def ends(pid: int) -> bool:
    """Whether a process is gone within ten seconds."""
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists() or "Z (" in Path(f"/proc/{pid}/stat").read_text():
            return True
        time.sleep(0.1)
    return False


def test_off_linux_there_is_none(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(NotForked):
        Fork(system_of(zoo.base()))


class Late(Remembering):
    """Remembers, where a look finds it, what is asked a few at a time."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.box: list[Tensor] = []

    def kept(self) -> list[Tensor]:
        return self.box

    def forward(self, x: Tensor) -> Tensor:
        if len(self.box) or len(x) == 8:
            return Remembering.forward(self, x)
        logits: Tensor = self.model(x)
        return logits


@pytest.mark.parametrize("shared", [False, True])
def test_what_is_kept_late_where_a_look_finds_it_shows_by_a_copy(
    zoo: Zoo, shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Late(zoo.base())
    made = trial(zoo, shipped(network))
    assert made.fork is None
    assert [one.check for one in Memory().look(made)] == ["changing_scores"]
    assert list(FreshProcess().look(made)) == []
    network(made.images[:8])
    network(made.images)
    made.thrifty = False
    if shared:
        monkeypatch.setattr(Unasked, "forgetting", refusing)
    told = {one.check: one for one in FreshProcess().look(made)}
    assert told["remembers"].verdict == ("suspect" if shared else "fail")
    assert shared or made.held.float().mean() < 0.3


def refusing(unasked: Unasked) -> System:
    raise NotCopied


def test_beside_a_device_there_is_none() -> None:
    with pytest.raises(NotForked):
        Fork(system_of(nn.Linear(2, 2, device="meta")))


class Silent:
    """Gives no answer, which shows that it was asked."""

    def first(self, *asked: object) -> Any:
        raise NotForked


def test_a_thrifty_audit_does_not_ask_of_what_is_decided(zoo: Zoo) -> None:
    made = trial(zoo, shipped(Diary(zoo.base())))
    made.fork = Silent()  # type: ignore[assignment]
    _ = made.reference
    assert list(FreshProcess().look(made)) == []
    made.held[:] = True
    assert len(list(FreshProcess().look(made))) == 1
    all_of_them = torch.ones(40, dtype=torch.bool)
    made.findings = [share_finding("changing_scores", all_of_them, 40, suspect=0.1, fail=0.5)]
    assert list(FreshProcess().look(made)) == []
    made.thrifty = False
    assert len(list(FreshProcess().look(made))) == 1
