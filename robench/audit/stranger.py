"""The same search on a system that was asked before, and on a copy to which all is new."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from robench.base.seeds import generator, seed_scope
from robench.core.system import System, module_device
from robench.core.threat import Threat
from robench.plugin import guest
from robench.search import GradientSearch, StepInfo, searching
from robench.search.gradient import loss_gradient
from robench.search.losses import resolve_loss

STARTS = 2
"""Long searches on a system that was asked, for whoever counts all questions; the last counts."""
REPLAYED = 8
"""Moves of that, drawn at random, whose losses and gradients a copy is asked for."""


@dataclass(frozen=True)
class Question:
    """A move of a search: where it was, what was answered there, and by which draw."""

    seed: int
    points: Tensor
    loss: Tensor
    gradient: Tensor


@dataclass(frozen=True)
class Comparison:
    """Images, labels and a search to compare systems by; images are float32 on the CPU.

    Every question has its own seed, the same whoever is asked: answers that random draws alone
    would make differ do not.
    """

    images: Tensor
    labels: Tensor
    threat: Threat
    search: GradientSearch
    seed: int
    at_once: int
    """Images whose labels are asked together: few, where one draw may be that of all of them."""

    def long(self, moves: int, index: Tensor) -> Comparison:
        """The same with so many moves, of the images at `index`."""
        images, labels = self.images[index], self.labels[index]
        return replace(self, images=images, labels=labels, search=replace(self.search, steps=moves))

    def candidates(self, system: System, starts: int = 1) -> tuple[Tensor, list[Question]]:
        """Legal candidates of the last of some searches on a system, and some of its questions."""
        device = module_device(system.twin)
        given = self.images.to(device).clone(), self.labels.to(device).clone()
        for start in range(starts):
            rng = generator(self.seed, "audit", "stranger", *([start] if start else []))
            asked = _Asked(system.twin, self.seed + 1000 * start, self.search.steps, rng)
            found = self.search.run(asked, *given, self.threat, rng, asked.told)
        raw = guest.plain_tensor(found, tuple(self.images.shape))
        return self.threat.project(raw, self.images), asked.questions

    def same(self, system: System, questions: list[Question]) -> bool:
        """Whether a system answers these questions to the bit as they were answered."""
        loss = resolve_loss(self.search.loss)
        labels = self.labels.to(module_device(system.twin))
        with searching(system.twin):
            for one in questions:
                with seed_scope(one.seed):
                    here = loss_gradient(system.twin, one.points, labels, loss)
                assert here.gradient is not None
                told = torch.equal(here.loss, one.loss)
                if not (told and torch.equal(here.gradient, one.gradient)):
                    return False
        return True

    def right(self, system: System, candidates: Tensor) -> Tensor:
        """Which candidates a system gets right by one answer each: bool (N,)."""
        with seed_scope(self.seed):
            parts = candidates.clone().split(self.at_once)
            return torch.cat([system.deployed.predict(part) for part in parts]) == self.labels


class _Asked(nn.Module):
    """A twin with a seed for every question, some of which are kept with their answers."""

    def __init__(self, twin: nn.Module, seed: int, steps: int, rng: torch.Generator) -> None:
        super().__init__()
        self.twin, self.seed = twin, seed
        self.questions: list[Question] = []
        self._kept = set(torch.randperm(steps, generator=rng)[:REPLAYED].tolist())
        self._step = 0
        self._points: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        if self._step in self._kept:
            self._points.append(images.detach().clone())
        with seed_scope(self.seed + self._step):
            logits: Tensor = self.twin(images)
        return logits

    def told(self, info: StepInfo) -> None:
        """Take in what a step was answered."""
        if info.step in self._kept and info.gradient is not None:
            points = torch.cat(self._points)
            self.questions.append(Question(self.seed + info.step, points, info.loss, info.gradient))
        self._points.clear()
        self._step = info.step + 1
