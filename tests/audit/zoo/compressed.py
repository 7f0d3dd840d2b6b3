"""Networks quantized after training, or trained quantized, to 8 and 4 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from tests.audit.zoo.exhibit import Exhibit, own, shipped
from tests.audit.zoo.networks import Target, adversarial_loss, network, plain_loss, train
from tests.audit.zoo.quantizers import QatLinear, quantized

if TYPE_CHECKING:
    from tests.audit.zoo import Zoo


def _ptq(zoo: Zoo, name: str, kind: str, bits: int) -> Exhibit:
    images = zoo.lesson.train.float_images()[:256]
    model = quantized(zoo.base(kind), bits, images)
    return Exhibit(name, shipped(model), model, zoo.base(kind))


def ptq8(zoo: Zoo) -> Exhibit:
    return _ptq(zoo, "ptq8", "plain", 8)


def ptq4(zoo: Zoo) -> Exhibit:
    return _ptq(zoo, "ptq4", "plain", 4)


def adversarial_ptq8(zoo: Zoo) -> Exhibit:
    return _ptq(zoo, "adversarial_ptq8", "adversarial", 8)


def adversarial_ptq4(zoo: Zoo) -> Exhibit:
    return _ptq(zoo, "adversarial_ptq4", "adversarial", 4)


def _qat(zoo: Zoo, name: str, loss: Target) -> Exhibit:
    layers = [
        QatLinear(m) if isinstance(m, (nn.Linear, nn.Conv2d)) else m for m in network(zoo.lesson)
    ]
    return own(name, train(nn.Sequential(*layers), zoo.lesson, loss))


def qat4(zoo: Zoo) -> Exhibit:
    return _qat(zoo, "qat4", plain_loss)


def adversarial_qat4(zoo: Zoo) -> Exhibit:
    return _qat(zoo, "adversarial_qat4", adversarial_loss(zoo.lesson.threat))
