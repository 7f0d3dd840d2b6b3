"""One audited system under one threat, and all that was tried on it so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from robench.audit.fork import Fork, NotForked
from robench.audit.judge import Judge, target
from robench.audit.straight import Straight
from robench.audit.unasked import NotCopied, Unasked
from robench.audit.verdict import sound
from robench.base.seeds import generator
from robench.core.batches import SEARCHED, at_once
from robench.core.record import Finding
from robench.core.system import System, module_device
from robench.core.threat import Threat
from robench.plugin import guest
from robench.plugin.trial import Attacker, Reference
from robench.search import GradientSearch, StrongestSearch, Trace

if TYPE_CHECKING:
    from robench.search import Callback

USUAL = "the usual attack"
STRONGEST = {True: StrongestSearch(budget="quick"), False: StrongestSearch(budget="whole")}
"""The strongest search, by whether the audit is a thrifty one."""
ROUNDED = 0.05
"""Share of images whose loss float32 rounds to 0 up to which gradients are sound."""
BATCH = 100
"""Images searched at once, at most."""
FEW = 20
"""Images that tell whether a system draws the same again."""


@dataclass
class SystemTrial:
    """The `Trial` that checks see: a system judged on images, its usual attack run when asked for.

    `found` keeps, beside what the protocol has, what first broke each image.
    """

    system: System
    images: Tensor
    labels: Tensor
    threat: Threat
    seed: int
    sources: Mapping[str, Callable[[], nn.Module]] = field(default_factory=dict)
    steps: int = 7
    """Steps of every gradient search, the usual attack's too."""
    thrifty: bool = True
    """Whether a search that breaks next to nothing may stop early."""
    attacks: Mapping[str, Attacker] = field(default_factory=dict)
    """The run's own white-box attacks under this threat, by row name."""
    adaptive: Mapping[str, Attacker] = field(default_factory=dict)
    """Attacks that the system's defenses bring against themselves, by defense."""
    known: Tensor | None = None
    """What a row found that was the strongest search on the twin, for each image; None: no row."""
    unasked: Unasked | None = None
    """The system before it was asked anything; None: as it is now, or where it refuses a copy."""
    fork: Fork | None = None
    """The same in a process of its own; None where processes do not fork."""
    scores: Tensor | None = field(init=False, default=None)
    """Logits of the clean images before any attack was asked; None where there are none, or
    random ones."""
    held: Tensor = field(init=False)
    """Right clean and after everything tried so far: bool (N,)."""
    found: Tensor = field(init=False)
    """What first broke each image, else the image itself: shape of `images`."""
    tried: dict[str, Tensor] = field(init=False, default_factory=dict)
    """By what was tried, the images that it broke: bool (N,)."""
    alone: dict[str, Tensor] = field(init=False, default_factory=dict)
    """By gradient search that met every image, those right clean and under it alone: bool (N,)."""
    findings: list[Finding] = field(init=False, default_factory=list)
    """What the checks have found so far."""
    forms: dict[str, nn.Module] = field(init=False, default_factory=dict)
    """Other modules whose gradient broke what the twin's own did not, by name."""

    def __post_init__(self) -> None:
        if self.unasked is None:
            with suppress(NotCopied):
                self.unasked = Unasked(self.system)
        if self.fork is None and self._may_hide():
            with suppress(NotForked):
                self.fork = Fork(self.system)
        self._ask(self.system)

    def _may_hide(self) -> bool:
        """Whether the system may keep something out of sight; only quick trusts a look."""
        if self.unasked is None:
            return True
        return not self.unasked.in_sight if self.thrifty else self.unasked.foreign

    def meet_anew(self, unasked: Unasked) -> None:
        """Begin again with a system to which every question is the first, findings kept.

        Unless what it keeps are its draws: then it would draw the same for every question.
        """
        if not (self.randomised and unasked.repeats(self.images[:FEW])):
            self._start_over(unasked.forgetting())

    def _start_over(self, system: System) -> None:
        self.__dict__.pop("reference", None)
        self.__dict__.pop("smoother", None)
        self.known = None
        for kept in (self.tried, self.alone, self.forms):
            kept.clear()
        self._ask(system)

    def _ask(self, system: System) -> None:
        """Ask about the clean images, twice."""
        self.system = _single(system, self.images[:1])
        deployed = self.system.deployed
        first, again = (deployed.predict(self.images.clone()) for _ in range(2))
        self.unstable = first != again
        self.randomised = deployed.randomised or bool(self.unstable.any())
        logits = None if self.randomised else getattr(deployed, "logits", None)
        self.scores = None if logits is None else logits(self.images.clone()).float()
        self.judge = Judge(deployed, self.randomised)
        self.clean = self.judge.right(self.images, self.labels, (first, again))
        self.held = self.clean.clone()
        self.found = self.images.clone()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def eps(self) -> float:
        """Size of the ball in [0,1] pixels."""
        assert self.threat.eps is not None
        return self.threat.eps

    @property
    def left(self) -> Tensor:
        """Indices of the images that still hold."""
        return self.held.nonzero()[:, 0]

    @property
    def usual(self) -> GradientSearch:
        """The usual attack, PGD on cross-entropy: a system is masked when it fails in vain.

        For a randomised model the last iterate is kept: the best one would be a lucky draw.
        """
        best = not self.randomised
        return GradientSearch(steps=self.steps, step=2.5, random_start=True, best=best)

    def ascent(self, loss: str = "margin") -> GradientSearch:
        """A search that differs from the usual attack in its loss, and minds randomness.

        For a randomised model momentum averages the gradients of all steps (expectation over
        transformation).
        """
        return replace(self.usual, loss=loss, decay=1.0 if self.randomised else None)

    def search(
        self,
        name: str,
        twin: nn.Module,
        search: GradientSearch,
        index: Tensor,
        threat: Threat | None = None,
        callback: Callback | None = None,
    ) -> Tensor:
        """Legal candidates for the images at `index`, searched on any module.

        `name` seeds the random start; without `threat` it is the audit's. `callback` meets
        batches of at most BATCH images one after the other.
        """
        threat = threat or self.threat
        rng, device = generator(self.seed, "audit", name), module_device(twin)
        found = [self.images[:0]]
        for part in self._batches(index):
            images, labels = self.images[part], self.labels[part]
            # Copies: neither a twin nor a callback can move the ball.
            given = images.to(device).clone(), labels.to(device).clone()
            raw = search.run(twin, *given, threat, rng, callback)
            found.append(threat.project(guest.plain_tensor(raw, tuple(images.shape)), images))
        return torch.cat(found)

    @property
    def sound(self) -> bool:
        """Whether the gradients are sound by all that was found so far.

        A loss that float32 rounds to 0 throughout has none that is whole.
        """
        rounded = (self.reference.losses == 0).all(0).float()
        return sound(self.findings) and float(rounded.sum()) <= ROUNDED * len(rounded)

    @cached_property
    def smoother(self) -> nn.Module | None:
        """The twin with its gradient led through what stops it; None where nothing does."""
        smoother = Straight(self.system.twin).eval()
        return smoother if smoother.differs(self.images[:1]) else None

    def strongest(self, name: str, twin: nn.Module) -> None:
        """Run the strongest search on a module, on the images that still hold, and judge it.

        What a row has searched is not searched again, but judged.
        """
        if twin is self.system.twin and self.known is not None:
            self.attempt(name, self.known[self.left], self.left)
            return
        rng, device = generator(self.seed, "audit", name), module_device(twin)
        judged = target(twin, self.system.deployed, self.randomised)
        for part in self._batches(self.left):
            images, labels = self.images[part], self.labels[part]
            given = images.to(device).clone(), labels.to(device).clone()
            raw = STRONGEST[self.thrifty].run(judged, *given, self.threat, rng)
            found = guest.plain_tensor(raw, tuple(images.shape))
            self.attempt(name, self.threat.project(found, images), part)

    def attempt(self, name: str, candidates: Tensor, index: Tensor) -> Tensor:
        """Let the deployed model judge legal candidates for the images at `index`.

        Returns which it gets wrong, bool of the shape of `index`, and keeps them under `name`.
        """
        wrong = self.wrong(candidates, index)
        self.count(name, candidates, index, wrong)
        return wrong

    def count(self, name: str, candidates: Tensor, index: Tensor, wrong: Tensor) -> None:
        """Keep under `name` which legal candidates for the images at `index` are wrong."""
        broken = self.tried.setdefault(name, torch.zeros_like(self.held))
        broken[index[wrong]] = True
        newly = wrong & self.held[index]
        self.found[index[newly]] = candidates[newly]
        self.held[index[wrong]] = False

    def wrong(self, candidates: Tensor, index: Tensor) -> Tensor:
        """Which candidates for the images at `index` the deployed model gets wrong.

        Nothing is kept, so the candidates may lie outside the ball.
        """
        if len(index) == 0:
            return torch.zeros(0, dtype=torch.bool)
        return self.judge.wrong(candidates, self.labels[index])

    @cached_property
    def reference(self) -> Reference:
        """The usual attack, run when first asked for."""
        index = self.clean.nonzero()[:, 0]
        traces, found = [], [self.images[:0]]
        for part in self._batches(index):
            traces.append(Trace())
            twin = self.system.twin
            found.append(self.search("reference", twin, self.usual, part, callback=traces[-1]))
        candidates = torch.cat(found)
        wrong = self.attempt("reference", candidates, index)
        self.alone[USUAL] = self.clean & ~self.tried["reference"]
        empty = [torch.zeros(self.steps + 1, 0)]
        return Reference(
            index,
            candidates,
            wrong,
            losses=torch.cat([t.losses for t in traces] or empty, 1),
            margins=torch.cat([t.margins for t in traces] or empty, 1),
            zero=torch.cat([t.zero_gradients for t in traces] or empty, 1),
            nonfinite=torch.cat([t.nonfinite_gradients for t in traces] or empty, 1),
        )

    def _batches(self, index: Tensor) -> tuple[Tensor, ...]:
        """The index in parts of at most BATCH, none empty: networks may refuse no images."""
        size = at_once(self.images.shape[1:], SEARCHED, BATCH)
        return index.split(size) if len(index) else ()


class _Single(nn.Module):
    """A network whose logits come in float32."""

    def __init__(self, twin: nn.Module) -> None:
        super().__init__()
        self.twin = twin

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.twin(images)
        return logits.float()


def _single(system: System, image: Tensor) -> System:
    """The system, its twin's logits in float32 where they have half of that precision.

    Rounded to 8 bits, a loss neither rises step by step nor shows by how little it fell short.
    """
    twin = system.twin
    with torch.no_grad():
        kind = twin(image.to(module_device(twin))).dtype
    return replace(system, twin=_Single(twin).eval()) if kind.itemsize < 4 else system
