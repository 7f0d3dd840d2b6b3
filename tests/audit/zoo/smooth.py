"""Networks without a trick whose losses or shapes are unusual."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.audit.zoo.exhibit import Exhibit, own
from tests.audit.zoo.networks import network, train

if TYPE_CHECKING:
    from tests.audit.zoo import Zoo


def _pixels(zoo: Zoo) -> int:
    return zoo.lesson.test.images[0].numel()


def _seeded(layer: nn.Linear, seed: int) -> nn.Linear:
    rng = torch.Generator().manual_seed(seed)
    layer.weight.data = torch.randn(layer.weight.shape, generator=rng) * layer.in_features**-0.5
    layer.bias.data.zero_()
    return layer


def _linear(zoo: Zoo) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), _seeded(nn.Linear(_pixels(zoo), 10), 0))


def linear(zoo: Zoo) -> Exhibit:
    """Softmax regression."""
    return own("linear", train(_linear(zoo), zoo.lesson))


def large_margin_linear(zoo: Zoo) -> Exhibit:
    """A linear machine with a multi-class hinge and weight decay."""

    def hinge(model: nn.Module, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        del rng
        decay = sum(p.square().sum() for p in model.parameters())
        loss: Tensor = F.multi_margin_loss(model(images), labels, margin=4.0) + 1e-3 * decay
        return loss

    return own("large_margin_linear", train(_linear(zoo), zoo.lesson, hinge))


class MaxMin(nn.Module):
    """Sorts pairs of features (Anil et al., 2019): it keeps distances."""

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, 1)
        return torch.cat([torch.maximum(a, b), torch.minimum(a, b)], 1)


class Orthogonal(nn.Module):
    """A linear layer whose weights are divided by their spectral norm: 1-Lipschitz."""

    def __init__(self, wide: int, out: int, seed: int) -> None:
        super().__init__()
        self.layer = _seeded(nn.Linear(wide, out), seed)

    def forward(self, x: Tensor) -> Tensor:
        norm = torch.linalg.matrix_norm(self.layer.weight, 2)
        return F.linear(x, self.layer.weight / norm, self.layer.bias)


def lipschitz_maxmin(zoo: Zoo) -> Exhibit:
    """A 1-Lipschitz network with small logits."""
    model = nn.Sequential(
        *(nn.Flatten(), Orthogonal(_pixels(zoo), 64, 0), MaxMin()),
        *(Orthogonal(64, 64, 1), MaxMin(), Orthogonal(64, 10, 2)),
    )

    def sharp(model: nn.Module, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        del rng
        return F.cross_entropy(10 * model(images), labels)

    return own("lipschitz_maxmin", train(model, zoo.lesson, sharp))


class Maxout(nn.Module):
    """The largest of three linear maps (Goodfellow et al., 2013), through a view of its input."""

    def __init__(self, wide: int, out: int, seed: int) -> None:
        super().__init__()
        self.out, self.layer = out, _seeded(nn.Linear(wide, 3 * out), seed)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.view(x.size(0), -1)
        best: Tensor = self.layer(flat).view(x.size(0), self.out, -1).amax(2)
        return best


class WithHead(nn.Module):
    """A network with an auxiliary head that only training would call."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.body(x)
        return result


def maxout(zoo: Zoo) -> Exhibit:
    """Views that refuse an empty batch, and a head that is never called."""
    body = nn.Sequential(Maxout(_pixels(zoo), 48, 0), Maxout(48, 10, 1))
    return own("maxout", WithHead(train(body, zoo.lesson)))


class FixedNoise(nn.Module):
    """The mean over noise that never changes: it widens the batch inside."""

    def __init__(self, model: nn.Module, shape: torch.Size, sigma: float, draws: int = 16) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(2)
        noise = sigma * torch.randn((draws, *shape), generator=rng)
        self.model, self.noise = model, nn.Parameter(noise, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        wide = (x[:, None] + self.noise).flatten(0, 1)
        logits: Tensor = self.model(wide).view(x.size(0), len(self.noise), -1).mean(1)
        return logits


def smoothing_fixed(zoo: Zoo) -> Exhibit:
    def noisy(model: nn.Module, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        return F.cross_entropy(
            model(images + 0.25 * torch.randn(images.shape, generator=rng)), labels
        )

    base = train(network(zoo.lesson), zoo.lesson, noisy)
    return own("smoothing_fixed", FixedNoise(base, zoo.lesson.test.images[0].shape, 0.25))


class Cast(nn.Module):
    """A network in another precision, that takes and gives float32 or leaves its own type."""

    def __init__(self, model: nn.Module, kind: torch.dtype, back: bool) -> None:
        super().__init__()
        self.model, self.kind, self.back = model.to(kind), kind, back

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model(x.to(self.kind))
        return logits.float() if self.back else logits


def bfloat16(zoo: Zoo) -> Exhibit:
    """Weights and logits in bfloat16."""
    import copy

    return own("bfloat16", Cast(copy.deepcopy(zoo.base()), torch.bfloat16, back=False))


def float64(zoo: Zoo) -> Exhibit:
    """Weights and logits in float64."""
    import copy

    return own("float64", Cast(copy.deepcopy(zoo.base()), torch.float64, back=False))


def gelu(zoo: Zoo) -> Exhibit:
    return own("gelu", train(network(zoo.lesson, nn.GELU), zoo.lesson))


def temperature_scaled(zoo: Zoo) -> Exhibit:
    """Logits calibrated by a temperature of 3, as a deployment may."""
    from tests.audit.zoo.layers import Scale

    return own("temperature_scaled", nn.Sequential(*zoo.base(), Scale(1 / 3)))
