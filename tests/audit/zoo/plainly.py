"""Float networks without a trick."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from torch import nn

from tests.audit.zoo.exhibit import Exhibit, own
from tests.audit.zoo.layers import Scale
from tests.audit.zoo.networks import network, train

if TYPE_CHECKING:
    from tests.audit.zoo import Zoo


def plain(zoo: Zoo) -> Exhibit:
    return own("plain", zoo.base())


def adversarial(zoo: Zoo) -> Exhibit:
    return own("adversarial", zoo.base("adversarial"))


def badly_scaled(zoo: Zoo) -> Exhibit:
    """Trained on pixels from 0 to 255 without normalisation."""
    model = nn.Sequential(Scale(255.0), *network(zoo.lesson))
    return own("badly_scaled", train(model, zoo.lesson))


def tiny_input(zoo: Zoo) -> Exhibit:
    """The plain network fed with pixels a million times too small, undone by its first weights."""
    layers = copy.deepcopy(zoo.base())
    first = layers[0]
    assert isinstance(first, nn.Conv2d)
    first.weight.data *= 1e6
    return own("tiny_input", nn.Sequential(Scale(1e-6), *layers))


def tanh(zoo: Zoo) -> Exhibit:
    return own("tanh", train(network(zoo.lesson, nn.Tanh), zoo.lesson))
