"""Masked by logits that are cut off, rounded or led into a dead end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.audit.zoo.exhibit import Exhibit, own
from tests.audit.zoo.layers import Scale
from tests.audit.zoo.networks import network, train

if TYPE_CHECKING:
    from tests.audit.zoo import Zoo


class Plateau(nn.Module):
    """Logits cut off at a height that the network almost always exceeds; a weak linear slope.

    Which class has the largest logit is kept by a tiny part of the true logits' order.
    """

    def __init__(self, model: nn.Module, slope: Tensor) -> None:
        super().__init__()
        self.model, self.height = model, 0.5
        self.slope = nn.Parameter(slope, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        logits = self.model(x)
        gaps = logits - (logits.topk(2, 1).values.mean(1, keepdim=True))
        low, high = torch.tensor(-self.height), torch.tensor(self.height)
        cut = torch.minimum(torch.maximum(4 * gaps, low), high)
        decoy: Tensor = x.flatten(1) @ self.slope
        return 20 * cut + decoy


def clip_plateau(zoo: Zoo) -> Exhibit:
    return own("clip_plateau", Plateau(zoo.base(), _slope(zoo, 0.0)), zoo.base())


def decoy_plateau(zoo: Zoo) -> Exhibit:
    return own("decoy_plateau", Plateau(zoo.base(), _slope(zoo, 0.1)), zoo.base())


def _slope(zoo: Zoo, size: float) -> Tensor:
    rng = torch.Generator().manual_seed(6)
    return size * torch.randn(zoo.lesson.test.images[0].numel(), 10, generator=rng)


class ManualSoftmax(nn.Module):
    """Probabilities in place of logits, without calling softmax."""

    def forward(self, x: Tensor) -> Tensor:
        powers = torch.exp(x - x.max(1, keepdim=True).values)
        return powers / powers.sum(1, keepdim=True)


def manual_softmax(zoo: Zoo) -> Exhibit:
    return own(
        "manual_softmax", nn.Sequential(*zoo.base(), Scale(20.0), ManualSoftmax()), zoo.base()
    )


class IntegerLogits(nn.Module):
    """Logits as 8-bit integers."""

    def forward(self, x: Tensor) -> Tensor:
        return (x * 4).clamp(-128, 127).to(torch.int8).to(torch.float32)


def int8_logits(zoo: Zoo) -> Exhibit:
    return own("int8_logits", nn.Sequential(*zoo.base(), IntegerLogits()), zoo.base())


class Thermometer(nn.Module):
    """Pixels as thermometers of ten levels (Buckman et al., 2018); soft: with a gradient."""

    def __init__(self, levels: int, soft: bool) -> None:
        super().__init__()
        self.levels, self.soft = levels, soft

    def forward(self, x: Tensor) -> Tensor:
        steps = torch.arange(self.levels).view(1, -1, 1, 1, 1) / self.levels
        shifted = x[:, None] - steps
        hard = (shifted > 0).float().flatten(1, 2)
        if not self.soft:
            return hard
        smooth = torch.sigmoid(10 * shifted).flatten(1, 2)
        return smooth + (hard - smooth).detach()


def thermometer(zoo: Zoo) -> Exhibit:
    body = network(zoo.lesson)
    first = body[0]
    assert isinstance(first, nn.Conv2d)
    body[0] = nn.Conv2d(10 * first.in_channels, first.out_channels, 3, padding=1)
    train(nn.Sequential(Thermometer(10, False), body), zoo.lesson)
    hard, soft = (nn.Sequential(Thermometer(10, soft), *body) for soft in (False, True))
    return own("thermometer", hard, soft)


class Trapdoor(nn.Module):
    """Wrong logits that rise along easy directions, to just below the winner's.

    Every wrong class has a random direction; along it its logit comes near the winner's and stays
    there, so that an ascent climbs into the trap and stops short of an error.
    """

    def __init__(self, model: nn.Module, slope: Tensor, room: float) -> None:
        super().__init__()
        self.model, self.room = model, room
        self.slope = nn.Parameter(slope, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        logits = self.model(x)
        top = logits.max(1, keepdim=True).values
        bait = 3 * ((x.flatten(1) - 0.5) @ self.slope)
        room = self.room + 0.02 * F.softplus(-bait)
        trapped: Tensor = torch.maximum(logits, bait).minimum(top - room)
        return torch.where(logits >= top, logits, trapped)


def trapdoor(zoo: Zoo) -> Exhibit:
    rng = torch.Generator().manual_seed(7)
    slope = torch.randn(zoo.lesson.test.images[0].numel(), 10, generator=rng)
    slope -= slope.mean(0)
    return own("trapdoor", Trapdoor(zoo.base(), slope, 0.3), zoo.base())
