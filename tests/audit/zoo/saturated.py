"""Masked by saturation: the loss or an activation is flat in float32."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.audit.zoo.exhibit import Exhibit, own, shipped
from tests.audit.zoo.layers import Scale, Steep
from tests.audit.zoo.networks import network, train
from tests.audit.zoo.quantizers import mapped

if TYPE_CHECKING:
    from tests.audit.zoo import Zoo


def mulaw(zoo: Zoo) -> Exhibit:
    model = mapped(zoo.base(), 255.0, 3)
    soft = nn.Sequential(model, Scale(0.005))
    return Exhibit("mulaw", shipped(model), soft.eval(), zoo.base())


def saturated_sigmoid(zoo: Zoo) -> Exhibit:
    model = network(zoo.lesson, Steep)
    steep = [m for m in model if isinstance(m, Steep)]
    for slope in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0):
        for layer in steep:
            layer.slope = slope
        train(model, zoo.lesson, epochs=8)
    for layer in steep:
        layer.slope = 300.0
    soft = copy.deepcopy(model)
    for twin in soft.modules():
        if isinstance(twin, Steep):
            twin.slope = 10.0
    return own("saturated_sigmoid", model, soft)


def scaled_logits(zoo: Zoo) -> Exhibit:
    return own("scaled_logits", nn.Sequential(zoo.base(), Scale(1000.0)), zoo.base())


def extra_softmax(zoo: Zoo) -> Exhibit:
    model = nn.Sequential(zoo.base(), Scale(20.0), nn.Softmax(1))
    return own("extra_softmax", model, zoo.base())


def distilled(zoo: Zoo) -> Exhibit:
    """Defensive distillation (Papernot et al., 2016) at temperature 100."""
    heat = 100.0

    def hot(model: nn.Module, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        del rng
        return F.cross_entropy(model(images) / heat, labels)

    teacher = train(network(zoo.lesson, seed=1), zoo.lesson, hot, epochs=2 * zoo.lesson.epochs)

    def taught(model: nn.Module, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        del rng, labels
        with torch.no_grad():
            soft = (teacher(images) / heat).softmax(1)
        return F.cross_entropy(model(images) / heat, soft)

    student = train(network(zoo.lesson, seed=2), zoo.lesson, taught, epochs=2 * zoo.lesson.epochs)
    return own("distilled", student, nn.Sequential(student, Scale(1 / heat)))
