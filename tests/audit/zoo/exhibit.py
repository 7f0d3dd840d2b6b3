"""One model of the zoo, as a run would attack it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from robench.core.system import FloatDeployed, System


@dataclass(frozen=True)
class Exhibit:
    """One model of the zoo."""

    name: str
    system: System
    adaptive: nn.Module
    parent: nn.Module | None = None
    """The float network before weights were mapped or quantized, where there is one."""
    samples: int = 1
    """Evaluations that the adaptive attack averages: more than 1 for randomised models."""
    black_box: bool = False
    """Whether Square belongs to the adaptive attack, because no gradient helps."""


class Randomised(FloatDeployed):
    """A float network whose answers are random."""

    randomised = True


def shipped(model: nn.Module, randomised: bool = False) -> System:
    kind = Randomised if randomised else FloatDeployed
    return System(kind(model.eval()), model.eval())


def own(name: str, model: nn.Module, adaptive: nn.Module | None = None) -> Exhibit:
    return Exhibit(name, shipped(model), (adaptive or model).eval())
