"""A system as it was before it was asked anything, for answers that no earlier question changes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from robench.audit.reach import ABSENT, Place, Reach, TooMuch
from robench.audit.sight import in_sight
from robench.core.system import System, module_device

if TYPE_CHECKING:
    from pathlib import Path


HOLDERS = (Tensor, np.ndarray, list, dict, set, deque)


class NotCopied(Exception):
    """A system that refuses to be copied."""


class Unasked:
    """A copy of a system and of what its code reaches, as both are now; raises NotCopied.

    What the system was asked earlier is not known, and what it keeps in a file or inside a library
    is out of reach.
    """

    def __init__(self, system: System) -> None:
        self.system = system
        try:
            reach = Reach(system)
            self._marks, self.foreign = reach.marks, reach.foreign
            self.in_sight = not reach.foreign or in_sight(reach)
            self._places = [place for place in reach.places if _gives_way(place)]
            self._memo = {**reach.memo, id(ABSENT): ABSENT}
            self.copied, self._values = self._copied(system, [p.get() for p in self._places])
        except Exception as error:  # foreign objects may refuse for any reason
            raise NotCopied from error

    def _copied(self, system: System, values: list[Any]) -> tuple[System, list[Any]]:
        """Copies that share with each other what the originals do."""
        return deepcopy((system, values), dict(self._memo))

    def changed(self) -> bool:
        """Whether anything that the system's code reaches is not as it was."""
        try:
            now = Reach(self.system).marks
        except TooMuch:
            return True
        return len(now) != len(self._marks) or any(
            one is not other or said != told
            for (one, said), (other, told) in zip(now, self._marks, strict=True)
        )

    def forgetting(self) -> System:
        """The system, to which every question is the first.

        Raises NotCopied where a copy holds its numbers where the system itself does.
        """
        try:
            own = _holders(Reach(self.system))
            with self.anew() as system:
                shared = own & _holders(Reach(system))
        except TooMuch as error:
            raise NotCopied from error
        if shared:
            raise NotCopied
        others = {name: _Twin(self, name) for name in self.copied.others}
        return System(_Deployed(self), _Twin(self, None), others, self.copied.black_box)

    def repeats(self, images: Tensor) -> bool:
        """Whether a random system to which every question is the first draws the same each time."""
        twin = self.forgetting().twin
        with torch.no_grad():
            first, again = (twin(images.to(module_device(twin))) for _ in range(2))
        return torch.equal(first, again)

    @contextmanager
    def anew(self) -> Iterator[System]:
        """A system that was asked nothing; while it lasts its code finds all else as it was."""
        system, values = self._copied(self.copied, self._values)
        before: list[tuple[Place, Any]] = []
        try:
            for place, value in zip(self._places, values, strict=True):
                before.append((place, place.get()))
                place.put(value)
            yield system
        finally:
            # The last one first: of two that are the same place the first knows what was there.
            for place, value in reversed(before):
                place.put(value)


def _gives_way(place: Place) -> bool:
    """Whether something else can be put there: a class may refuse that its attributes are set."""
    try:
        place.put(place.get())
    except Exception:  # a foreign class may refuse in any way
        return False
    return True


class _Deployed:
    """A deployed model that forgets every question."""

    def __init__(self, unasked: Unasked) -> None:
        self._unasked = unasked
        self.randomised = unasked.copied.deployed.randomised
        self.classes = getattr(unasked.copied.deployed, "classes", None)
        if hasattr(unasked.copied.deployed, "logits"):
            self.logits = self._logits

    def predict(self, images: Tensor) -> Tensor:
        """See Deployed."""
        with self._unasked.anew() as system:
            return system.deployed.predict(images)

    def _logits(self, images: Tensor) -> Tensor:
        with self._unasked.anew() as system:
            logits: Tensor = system.deployed.logits(images)  # type: ignore[attr-defined]
        return logits

    def nbytes(self) -> int:
        """See Deployed."""
        return self._unasked.copied.deployed.nbytes()

    def save(self, folder: Path) -> None:
        """See Deployed."""
        self._unasked.copied.deployed.save(folder)


class _Twin(nn.Module):
    """A twin that forgets every question."""

    def __init__(self, unasked: Unasked, name: str | None) -> None:
        super().__init__()
        self._unasked, self._name = unasked, name
        self.twin = _twin(unasked.copied, name)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of float32 images in [0,1]."""
        with self._unasked.anew() as system:
            logits: Tensor = _twin(system, self._name)(images)
        return logits


def _twin(system: System, name: str | None) -> nn.Module:
    return system.twin if name is None else system.others[name]


def _holders(reach: Reach) -> set[int]:
    """What a system's objects hold their numbers in: a copy has its own."""
    return {id(thing) for thing, _ in reach.marks if isinstance(thing, HOLDERS)}
