"""What a network remembers of what it was asked: found wherever its code keeps it."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from robench.audit.checks import CHECKS
from robench.audit.checks.memory import Memory
from robench.audit.findings import findings_of
from robench.audit.trial import SystemTrial
from robench.audit.unasked import NotCopied, Unasked
from robench.core.record import worst
from robench.core.system import FloatDeployed, System
from tests.audit.zoo import Zoo
from tests.audit.zoo.exhibit import Randomised

NEAR = 0.35
"""How near an earlier question lies, in Linf, that an answer is pulled towards."""
KEPT: dict[str, list[Tensor]] = {}


def shipped(network: nn.Module) -> System:
    return System(FloatDeployed(network), network.eval())


def trial(zoo: Zoo, system: System) -> SystemTrial:
    lesson = zoo.lesson
    images, labels = lesson.test.float_images()[:40], lesson.test.labels[:40]
    return SystemTrial(system, images, labels, lesson.threat, 0)


class Remembering(nn.Module):
    """Answers what is near an earlier question as if it were nearly that."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def kept(self) -> list[Tensor]:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        asked, kept = x.detach().flatten(1), self.kept()
        near, hit = asked.clone(), torch.zeros(len(x), dtype=torch.bool)
        if kept:
            known = torch.cat(kept)
            far, which = torch.cdist(asked, known, p=float("inf")).min(1)
            hit = far < NEAR
            near[hit] = known[which[hit]]
        kept.append(asked[~hit])
        shown = near.view_as(x)
        logits: Tensor = self.model(shown + 0.15 * (x - shown))
        return logits


class InItself(Remembering):
    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.memory: list[Tensor] = []

    def kept(self) -> list[Tensor]:
        return self.memory


class Locked(InItself):
    """What a copy shares with it is no memory."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.lock, self.random = Lock(), torch.Generator()


class InItsClass(Remembering):
    memory: list[Tensor]

    def kept(self) -> list[Tensor]:
        return type(self).memory


class InAGlobal(Remembering):
    def kept(self) -> list[Tensor]:
        return KEPT.setdefault("asked", [])


class InADefault(Remembering):
    def kept(self, memory: list[Tensor] = []) -> list[Tensor]:  # noqa: B006  # what is tested
        return memory


def in_a_closure(model: nn.Module) -> nn.Module:
    memory: list[Tensor] = []

    class InAClosure(Remembering):
        def kept(self) -> list[Tensor]:
            return memory

    return InAClosure(model)


def in_its_class(model: nn.Module) -> nn.Module:
    InItsClass.memory = []
    return InItsClass(model)


class InABuffer(nn.Module):
    """The same with a tensor that is written over."""

    memory: Tensor
    count: Tensor

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("memory", torch.full((1000, 64), 9.0))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        asked = x.detach().flatten(1)
        far, which = torch.cdist(asked, self.memory, p=float("inf")).min(1)
        hit, first = far < NEAR, int(self.count)
        shown = torch.where(hit[:, None], self.memory[which], asked).view_as(x)
        new = asked[~hit][: len(self.memory) - first]
        self.memory.data[first : first + len(new)] = new
        self.count += len(new)
        logits: Tensor = self.model(shown + 0.15 * (x - shown))
        return logits


PLACES: tuple[Callable[[nn.Module], nn.Module], ...] = (
    *(InItself, Locked, in_its_class, InAGlobal, InADefault, in_a_closure),
    InABuffer,
)


@pytest.mark.parametrize("place", PLACES)
def test_a_network_that_remembers_fails_and_is_audited_as_a_stranger_meets_it(
    zoo: Zoo, place: Callable[[nn.Module], nn.Module]
) -> None:
    KEPT.clear()
    made = trial(zoo, shipped(place(zoo.base())))
    assert not made.reference.wrong.any()
    told = {one.check: one for one in Memory().look(made)}
    assert told["remembers"].verdict == "fail"
    assert made.reference.wrong.float().mean() > 0.5


def test_earlier_questions_about_the_test_images_hide_nothing(zoo: Zoo) -> None:
    network = InItself(zoo.base())
    network(zoo.lesson.test.float_images())
    told = {one.check: one for one in Memory().look(trial(zoo, shipped(network)))}
    assert told["remembers"].verdict == "fail"


class Tiring(nn.Module):
    """True labels, whose scores, or whose gradients alone, fade with every question."""

    def __init__(self, model: nn.Module, alone: bool) -> None:
        super().__init__()
        self.model, self.alone, self.calls = model, alone, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        logits: Tensor = self.model(x)
        fresh = 0.5 ** min(self.calls - 1, 60)
        if self.alone:
            misleading = x.flatten(1).mean(1, keepdim=True) * logits.detach()
            faded = logits.detach() + misleading - misleading.detach()
            return fresh * (logits - logits.detach()) + faded
        top = 1 + x.flatten(1).mean(1, keepdim=True)
        faded = torch.zeros_like(logits).scatter(1, logits.argmax(1, keepdim=True), top)
        return fresh * logits + (1 - fresh) * 9 * faded


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("randomised", [False, True])
def test_labels_that_stay_do_not_excuse_what_tires(zoo: Zoo, alone: bool, randomised: bool) -> None:
    network = Tiring(zoo.base(), alone).eval()
    made = trial(zoo, System((Randomised if randomised else FloatDeployed)(network), network))
    findings = {told.check: told for told in Memory().look(made)}
    assert findings["remembers"].verdict == "pass"
    assert findings["tires"].verdict == "fail"
    assert ("changing_scores" in findings) == (not randomised)
    if not randomised:
        assert (findings["changing_scores"].verdict == "suspect") == (not alone)
        assert made.reference.wrong.float().mean() > 0.8


class InAFile(nn.Module):
    """Counts its calls where no copy reaches, and its scores tire by that."""

    def __init__(self, model: nn.Module, path: Path) -> None:
        super().__init__()
        self.tiring, self.path = Tiring(model, alone=False), str(path)

    def forward(self, x: Tensor) -> Tensor:
        with open(self.path, "a+", encoding="ascii") as file:
            file.write("1")
            self.tiring.calls = file.tell() - 1
        logits: Tensor = self.tiring(x)
        self.tiring.calls = 0
        return logits


def test_scores_that_change_show_a_memory_out_of_reach(zoo: Zoo, tmp_path: Path) -> None:
    made = trial(zoo, shipped(InAFile(zoo.base(), tmp_path / "calls")))
    (told,) = Memory().look(made)
    assert (told.check, told.verdict) == ("changing_scores", "suspect")


class Breaking(nn.Module):
    """Its scores are no numbers once it was asked often, or always."""

    def __init__(self, model: nn.Module, after: int) -> None:
        super().__init__()
        self.model, self.after, self.calls = model, after, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        logits: Tensor = self.model(x)
        return logits if self.calls <= self.after else logits + float("nan")


@pytest.mark.parametrize(("after", "verdict"), [(5, "suspect"), (0, "pass"), (99, "pass")])
def test_scores_that_turn_into_no_number_are_others(zoo: Zoo, after: int, verdict: str) -> None:
    told, *_ = Memory().look(trial(zoo, shipped(Breaking(zoo.base(), after))))
    assert (told.check, told.verdict) == ("changing_scores", verdict)


class Watch:
    """Counts the small moves in a row from one question to the next, or all questions."""

    __slots__ = ("count", "last", "moves")

    def __init__(self, moves: bool) -> None:
        self.moves, self.count, self.last = moves, 0, torch.zeros(0)

    def __call__(self, x: Tensor) -> int:
        same = x.shape == self.last.shape and 0 < float((x - self.last).abs().mean()) < 0.1
        self.count = self.count + 1 if same or not self.moves else 0
        self.last = x
        return self.count


class Watching(nn.Module):
    """The gradient of another function from the twelfth small move in a row on, or late."""

    def __init__(self, model: nn.Module, moves: bool, noise: float) -> None:
        super().__init__()
        self.model, self.watch = model, Watch(moves)
        self.patience, self.noise = 12 if moves else 25, noise

    def forward(self, x: Tensor) -> Tensor:
        alarmed = self.watch(x.detach().clone()) >= self.patience
        x = x + self.noise * torch.randn(x.shape[1:])
        logits: Tensor = self.model(x)
        decoy = self.model(x.roll(3, -1)).roll(4, 1)
        return logits.detach() + decoy - decoy.detach() if alarmed else logits


@pytest.mark.parametrize(("moves", "noise"), [(True, 0.0), (False, 0.05)])
def test_what_misleads_late_is_met_by_a_long_search(zoo: Zoo, moves: bool, noise: float) -> None:
    network = Watching(zoo.base(), moves, noise).eval()
    made = trial(zoo, System((Randomised if noise else FloatDeployed)(network), network))
    assert made.reference.wrong.float().mean() > 0.8
    findings = {told.check: told for told in Memory().look(made)}
    assert [findings[name].verdict for name in ("remembers", "tires")] == ["pass", "fail"]
    assert made.system.twin is not network


class Uncopied(Watching):
    """The same, in an object that refuses a copy."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model, moves=True, noise=0.0)
        self.drawn = (number for number in range(9))


def test_what_refuses_a_copy_meets_more_moves(zoo: Zoo) -> None:
    found = {one.check: one for one in Memory().look(trial(zoo, shipped(Uncopied(zoo.base()))))}
    assert found["longer"].verdict == "suspect"


class Counted(Watching):
    """One draw for a whole batch, and a count that changes nothing."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model, moves=False, noise=0.3)
        self.patience = 10**9


def test_one_draw_for_a_batch_is_no_memory(zoo: Zoo) -> None:
    network = Counted(zoo.base()).eval()
    made = trial(zoo, System(Randomised(network), network))
    assert [told.value for told in Memory().look(made)] == [0.0, 0.0]
    assert made.system.twin is not network


class Counting(nn.Module):
    """Counts its calls, keeps statistics and its last answer; no answer depends on them."""

    mean: Tensor

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.calls = 0
        self.last: Tensor | None = None
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.mean.mul_(0.9).add_(0.1 * x.detach().mean())
        self.last = self.model(x)
        return self.last


class Storing(nn.Module):
    """Keeps answers to the very same images."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.answers: dict[bytes, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        if x.requires_grad:
            logits: Tensor = self.model(x)
            return logits
        return self.answers.setdefault(x.numpy().tobytes(), self.model(x))


@pytest.mark.parametrize("kind", [Counting, Storing])
def test_what_changes_no_answer_is_not_slandered(
    zoo: Zoo, kind: Callable[[nn.Module], nn.Module]
) -> None:
    plain, kept = trial(zoo, shipped(zoo.base())), trial(zoo, shipped(kind(zoo.base())))
    findings = findings_of(kept, CHECKS["quick"])
    assert [one.value for one in findings if one.check in ("remembers", "tires")] == [0.0, 0.0]
    assert worst(one.verdict for one in findings) == "pass"
    assert torch.equal(plain.reference.wrong, kept.reference.wrong)


class Noisy(nn.Module):
    """Noise by a count of its calls: a copy draws the same again."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(self.calls))
        logits: Tensor = self.model(x + 0.2 * noise)
        return logits


def test_draws_are_no_memory(zoo: Zoo) -> None:
    network = Noisy(zoo.base()).eval()
    system = System(Randomised(network), network)
    made = trial(zoo, system)
    assert [told.verdict for told in Memory().look(made)] == ["pass", "pass"]
    assert made.system is system


def test_an_unchanged_network_is_not_copied_again(zoo: Zoo) -> None:
    made = trial(zoo, shipped(zoo.base()))
    assert [told.value for told in Memory().look(made)] == [0.0]


class Refusing(Remembering):
    """Cannot be copied."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.drawn, self.memory = (number for number in range(9)), list[Tensor]()

    def kept(self) -> list[Tensor]:
        return self.memory


class Shared(Refusing):
    """Says that it was copied."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Shared:
        return self


@pytest.mark.parametrize("kind", [Refusing, Shared])
def test_what_refuses_a_copy_is_said_to(zoo: Zoo, kind: type[Refusing]) -> None:
    found = {one.check: one for one in Memory().look(trial(zoo, shipped(kind(zoo.base()))))}
    assert (found["remembers"].value, found["remembers"].verdict) == (None, "pass")
    assert "refuses to be copied" in found["remembers"].sentence


def test_a_question_to_a_forgetting_system_leaves_no_trace(zoo: Zoo) -> None:
    KEPT.clear()
    images = zoo.lesson.test.float_images()[:5]
    network = InAGlobal(zoo.base())
    unasked = Unasked(shipped(network))
    first = unasked.forgetting().deployed.predict(images)
    assert not KEPT
    network(images)
    assert unasked.changed()
    kept = deepcopy(KEPT)
    assert torch.equal(unasked.forgetting().deployed.predict(images), first)
    assert [t.tolist() for t in KEPT["asked"]] == [t.tolist() for t in kept["asked"]]
    with pytest.raises(NotCopied):
        Unasked(shipped(Refusing(zoo.base())))
