"""Calls into components: whatever one does by mistake to its process or its inputs stays its own.

A component is installed code. It is trusted not to reach for the core on purpose, and with
nothing else: what it gets is a copy, what it returns is data to be checked, and what it changed of
the process is put back after every call.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Iterable, Mapping
from copy import copy, deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from robench.base.errors import (
    CacheError,
    ConfigError,
    DataError,
    InternalError,
    PluginError,
    UserError,
)
from robench.base.hashing import plain_options
from robench.base.signals import Signals
from robench.base.text import one_line, reason
from robench.core.system import Deployed, System, answers, module_device
from robench.core.threat import Threat
from robench.plugin.components import Component
from robench.plugin.process import ClassState, ProcessState
from robench.plugin.registry import registry
from robench.plugin.spent import Spent
from robench.plugin.trial import Attacker
from robench.search.target import Target

P = ParamSpec("P")
T = TypeVar("T")
OURS = "robench"
LONGEST = 500
"""Characters of a foreign error's text that are repeated."""
DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS}


class Fault(PluginError):
    """A component that failed: the message names it, `reason` is the rest."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


# -- calls -----------------------------------------------------------------------------------------


def call(who: Component | str, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """What a component's method returns; the state of the process is put back, and a change said.

    `who` is the component, or words for what several of them made together. Raises Fault, naming
    it, for whatever it raised, `SystemExit` too; its own UserError keeps its type. When the handler
    of a signal raised in the meantime, what it raised is raised here, even if the component
    swallowed it: a signal ends the run and is nobody's fault. A change that cannot be put back
    raises PluginError, now and at every later call: no number of this process holds any more.
    """
    _require_whole()
    before, options, own = ProcessState(), _options(who), ClassState(type(who))
    signals = Signals()
    fault: BaseException | None = None
    try:
        result = work(*given, **named)
    except BaseException as error:  # a component may raise anything
        fault = error
    changed = [*signals.put_back(), *before.put_back(), *own.put_back()]
    edited = _put_back_options(who, options)
    if changed:
        _say(who, changed)
    if signals.raised is not None:
        raise signals.raised
    if before.lost:
        _LOST.append(f"{name_of(who)} changed {', '.join(before.lost)}, which cannot be put back")
    _require_whole()
    if fault is not None:
        named_fault = _blamed(who, fault)
        if named_fault is fault:
            raise fault
        raise named_fault from fault
    if edited:
        text = f"expected its options to stay as they were, got others for {', '.join(edited)}"
        raise Fault(f"{name_of(who)}: {text}", text)
    return result


_LOST: list[str] = []
"""Why no number of this process holds any more; empty while they do."""


def _require_whole() -> None:
    if _LOST:
        raise PluginError(f"{_LOST[0]}: nothing of it is kept; repair it and start again")


def collect(
    who: Component, work: Callable[P, Iterable[T]], *given: P.args, **named: P.kwargs
) -> list[T]:
    """All that a component's method yields, by `call`."""
    return call(who, lambda: list(_yielded(who, work(*given, **named))))


def _yielded(who: Component, made: Iterable[T]) -> Iterable[T]:
    if not isinstance(made, Iterable):
        raise PluginError(
            f"expected {name_of(who)} to yield what it finds, got {type(made).__name__}"
        )
    return made


def name_of(who: Component | str) -> str:
    """A component's choice and its distribution, or its class where it is not registered."""
    if isinstance(who, str):
        return who
    choice = registry().home(type(who))
    if choice is None:
        return type(who).__qualname__
    names = registry().names_of(who)
    named = "=".join([choice.kind, *names]) if len(names) == 1 else _one_of(choice.kind, who)
    return f"{named} of {choice.distribution} {choice.version}"


def _one_of(kind: str, who: Component) -> str:
    """Presets of one class whose options were changed: any of them, or none."""
    return f"{kind} {type(who).__qualname__}"


def is_ours(who: Component | str) -> bool:
    """Whether the component comes with robench: from a plugin of its own, or from the core."""
    if isinstance(who, str):
        return False
    choice = registry().home(type(who))
    if choice is None:
        return type(who).__module__.partition(".")[0] == OURS
    return choice.distribution == OURS


def _passes(fault: BaseException) -> bool:
    full = isinstance(fault, OSError) and fault.errno in DISK_FULL
    return full or isinstance(fault, InternalError)


def _blamed(who: Component | str, fault: BaseException) -> BaseException:
    """The error that names a component, for what its method raised."""
    if _passes(fault) or (isinstance(fault, UserError) and is_ours(who)):
        return fault
    name = name_of(who)
    if isinstance(fault, Fault):
        return Fault(f"{name}: {fault}", fault.reason)
    if isinstance(fault, UserError):
        kinds = (ConfigError, DataError, CacheError, PluginError)
        kind = next((k for k in kinds if isinstance(fault, k)), UserError)
        return kind(f"{name}: {one_line(fault)[:LONGEST]}")
    words = reason(fault)[:LONGEST]
    if not isinstance(fault, Exception):
        words += "; expected an error of its own, a component may not end the process"
    return Fault(f"{name} failed: {words}", words)


_SAID: set[tuple[str, str]] = set()


def _say(who: Component | str, changed: Iterable[str]) -> None:
    """One line a component and change, however often it is called."""
    said = name_of(who), ", ".join(changed)
    if said not in _SAID:
        _SAID.add(said)
        text = f"robench: {said[0]} changed {said[1]}; it was put back"
        print(text, file=sys.stderr)  # noqa: T201


def _options(who: Component | str) -> dict[str, Any]:
    return {} if isinstance(who, str) else deepcopy(plain_options(who))


def _put_back_options(who: Component | str, before: Mapping[str, Any]) -> list[str]:
    """Give a component the options that the run was configured with; returns those it changed."""
    if not before:
        return []
    now = plain_options(who)
    edited = [name for name, value in before.items() if repr(now[name]) != repr(value)]
    for name in edited:
        object.__setattr__(who, name, before[name])
    return edited


# -- what a component gets and gives ---------------------------------------------------------------


def own_copy(what: str, network: nn.Module) -> nn.Module:
    """A copy of a network, named in words, that shares nothing with it; raises PluginError."""
    try:
        return deepcopy(network)
    except Exception as error:  # its layers may refuse for any reason
        raise PluginError(
            f"expected {what} to be copied by copy.deepcopy, got {reason(error)[:LONGEST]}; give "
            "the layer that refuses a __deepcopy__ that shares what cannot be copied, as a session"
        ) from error


def own_twin(system: System) -> nn.Module:
    """A copy of a system's twin that its user may ruin: eval and frozen; raises PluginError."""
    return own_copy("the twin", system.twin).eval().requires_grad_(False)


def search(
    attack: Attacker,
    target: Target,
    images: Tensor,
    labels: Tensor,
    threat: Threat,
    rng: torch.Generator,
) -> Tensor:
    """What an attack finds: finite float32 on the CPU, of the images' shape, nobody else's.

    It gets copies of images, labels and threat, on the twin's device; the target's twin should be
    its own copy, too. Raises Fault.
    """
    device = module_device(target.twin)
    who = attack if isinstance(attack, Component) else type(attack).__qualname__

    def run() -> Tensor:
        given = images.to(device).clone(), labels.to(device).clone()
        found = attack.run_judged(replace(target), *given, replace(threat), rng)
        return plain_tensor(found, tuple(images.shape))

    return call(who, run)


def plain_tensor(raw: Any, shape: tuple[int, ...], what: str = "candidates") -> Tensor:
    """A copy of a tensor that a component made: finite float32 of that shape, on the CPU.

    Raises Fault for anything else, whatever it pretends to be.
    """
    if not isinstance(raw, torch.Tensor):
        raise _malformed(f"expected {what} of shape {shape}, got {type(raw).__name__}")
    # A subclass may answer for itself; here it is asked as what it is.
    with torch._C.DisableTorchFunctionSubclass(), torch.no_grad():
        got = _other(raw, shape)
        if got:
            raise _malformed(f"expected {what} of shape {shape}, {got}")
        numbers = np.full(shape, np.nan, dtype=np.float32)
        torch.from_numpy(numbers).copy_(raw.detach())
        if not np.isfinite(numbers).all():
            raise _malformed(f"expected finite {what}, got NaN or infinite pixels")
        return torch.from_numpy(numbers)


def plain_labels(raw: Any, count: int, classes: int | None) -> Tensor:
    """A copy of labels that a component gave: int64 (N,), on the CPU, 0 to below `classes`.

    Raises Fault for anything else.
    """
    wanted = f"{count} int64 labels in 0..{'' if classes is None else classes - 1}"
    if not isinstance(raw, torch.Tensor) or raw.dtype != torch.int64 or raw.shape != (count,):
        got = f"{raw.dtype} {tuple(raw.shape)}" if isinstance(raw, torch.Tensor) else type(raw)
        raise _malformed(f"expected {wanted}, got {got}")
    own = raw.detach().to("cpu", copy=True)
    low, high = (int(own.min()), int(own.max())) if count else (0, 0)
    if low < 0 or (classes is not None and high >= classes):
        raise _malformed(f"expected {wanted}, got {low}..{high}")
    return own


def _other(raw: Tensor, shape: tuple[int, ...]) -> str:
    """What keeps a tensor from being plain floating numbers of a shape; empty for nothing."""
    if raw.is_nested or raw.layout != torch.strided:
        return f"dense, got the layout {raw.layout}"
    if tuple(raw.shape) != shape:
        return f"got {tuple(raw.shape)}"
    if raw.is_quantized or not raw.dtype.is_floating_point:
        return f"of floating numbers, got {raw.dtype}"
    return "with values, got a tensor on meta" if raw.is_meta else ""


def _malformed(reason: str) -> Fault:
    return Fault(reason, reason)


def _truth(system: str, name: str, ask: Callable[[], Any]) -> bool:
    found = call(system, ask)
    if not isinstance(found, bool):
        raise PluginError(f"expected {name} of {system} to be True or False, got {found!r:.80}")
    return found


class Answers:
    """A deployed model that answers, and has nothing else to lay hands on.

    Its labels are checked, its images copies. `logits` is there where the model has it. `drawn`
    says that its network draws at random, whatever made it said nothing of.
    """

    def __init__(
        self, system: str, deployed: Deployed, classes: int | None = None, *, drawn: bool = False
    ) -> None:
        self.exact = _truth(system, "exact", lambda: getattr(deployed, "exact", False))
        declared = _truth(system, "randomised", lambda: deployed.randomised)
        # Integers that are the same on every machine leave a network's draws behind.
        self.randomised = declared or (drawn and not self.exact)
        self.__asked = system, deployed, classes
        self.classes = classes
        self.__spent: Spent | None = None

    def inside(self, spent: Spent) -> Answers:
        """The same model for a search to ask: counted, and the search's own call is the guard."""
        own = copy(self)
        own.__spent = spent
        return own

    def predict(self, images: Tensor) -> Tensor:
        """See Deployed; raises Fault for anything but labels."""
        _, deployed, classes = self.__asked
        return self.__ask(len(images), answers, deployed, images, classes)

    @property
    def logits(self) -> Callable[[Tensor], Tensor]:
        """See Deployed; no such attribute where the model gives none."""
        _, deployed, _ = self.__asked
        if not hasattr(deployed, "logits"):
            raise AttributeError("logits")
        return self._logits

    def _logits(self, images: Tensor) -> Tensor:
        _, deployed, _ = self.__asked
        found: Tensor = self.__ask(len(images), deployed.logits, images.clone())  # type: ignore[attr-defined]
        return found.clone()

    def __ask(self, count: int, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        system, _, _ = self.__asked
        if self.__spent is None:
            return call(system, work, *given, **named)
        self.__spent.queries += count
        try:
            return work(*given, **named)
        except Exception as fault:
            named_fault = _blamed(system, fault)
            if named_fault is fault:
                raise
            raise named_fault from fault

    def nbytes(self) -> int:
        """See Deployed."""
        system, deployed, _ = self.__asked
        found: Any = call(system, deployed.nbytes)
        if not isinstance(found, int) or isinstance(found, bool) or found < 0:
            raise PluginError(f"expected nbytes of {system} to give bytes, got {found!r:.80}")
        return found

    def save(self, folder: Path) -> None:
        """See Deployed."""
        system, deployed, _ = self.__asked
        call(system, deployed.save, folder)
