"""Masked by rounding and cuts: the gradient is zero, unrelated or fractured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from tests.audit.zoo.exhibit import Exhibit, own, shipped
from tests.audit.zoo.layers import Shatter, Straight, Winners, numpy_bits, rounded
from tests.audit.zoo.networks import network, train

if TYPE_CHECKING:
    from tests.audit.zoo import Zoo


def _layered(zoo: Zoo, name: str, at: int, make: Callable[[bool], nn.Module]) -> Exhibit:
    """The plain network with a layer put in at a place; its adaptive form is usable."""
    layers = list(zoo.base())
    hard, soft = (
        nn.Sequential(*layers[:at], make(through), *layers[at:]) for through in (False, True)
    )
    return own(name, hard, soft)


def input_rounding(zoo: Zoo) -> Exhibit:
    return _layered(zoo, "input_rounding", 0, lambda soft: Straight(rounded(8), soft))


def activation_rounding(zoo: Zoo) -> Exhibit:
    return _layered(zoo, "activation_rounding", 2, lambda soft: Straight(rounded(4), soft))


def numpy_preprocessing(zoo: Zoo) -> Exhibit:
    return _layered(zoo, "numpy_preprocessing", 0, lambda soft: Straight(numpy_bits, soft))


def gradient_stop(zoo: Zoo) -> Exhibit:
    return _layered(zoo, "gradient_stop", 4, lambda soft: Straight(torch.Tensor.detach, soft))


def shattered(zoo: Zoo) -> Exhibit:
    return _layered(zoo, "shattered", 2, lambda soft: nn.Identity() if soft else Shatter())


def winners(zoo: Zoo) -> Exhibit:
    wide = replace(zoo.lesson, width=3 * zoo.lesson.width)
    model = train(network(wide, lambda: Winners(0.05)), wide)
    return Exhibit("winners", shipped(model), model, black_box=True)
