"""Models whose answers are random: some mask, some do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robench.core.system import System
from tests.audit.zoo.exhibit import Exhibit, Randomised, shipped
from tests.audit.zoo.layers import Straight, rounded
from tests.audit.zoo.networks import network, train

if TYPE_CHECKING:
    from tests.audit.zoo import Zoo


class Jitter(nn.Module):
    """Random noise, a random shift and a random resizing of every batch (Xie et al., 2018)."""

    def __init__(self, noise: float) -> None:
        super().__init__()
        self.noise = noise

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-1]
        small = int(torch.randint(round(size * 0.75), size + 1, ()))
        left, top = (int(torch.randint(0, size - small + 1, ())) for _ in range(2))
        resized = F.interpolate(x, (small, small), mode="bilinear", align_corners=False)
        padded = F.pad(resized, (left, size - small - left, top, size - small - top))
        return padded + self.noise * torch.randn_like(padded)


class Pruned(nn.Module):
    """Drops activations at random, in use too (after Dhillon et al., 2018)."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        return x * (torch.rand_like(x) > self.share) / (1 - self.share)


class Smoothed(nn.Module):
    """Mean probabilities over fixed noise: an honest smoothed twin."""

    def __init__(self, model: nn.Module, sigma: float, draws: int = 8) -> None:
        super().__init__()
        self.model, self.sigma, self.draws = model, sigma, draws

    def forward(self, x: Tensor) -> Tensor:
        noisy = x.repeat(self.draws, 1, 1, 1)
        noisy = noisy + self.sigma * torch.randn_like(noisy)
        probabilities: Tensor = self.model(noisy).softmax(1).view(self.draws, len(x), -1)
        return probabilities.mean(0).clamp_min(1e-12).log()


def random_pruning(zoo: Zoo) -> Exhibit:
    layers = list(network(zoo.lesson))
    half = [Pruned(0.5) for _ in range(3)]
    layers = [Pruned(0.25), *layers[:2], half[0], *layers[2:4], half[1], *layers[4:7], half[2]]
    model = train(nn.Sequential(*layers, network(zoo.lesson)[-1]), zoo.lesson)
    return Exhibit("random_pruning", shipped(model, True), model, None, 8)


def random_input(zoo: Zoo) -> Exhibit:
    """Random resizing, shifts and noise, and a rounding after them."""
    jitter, base = Jitter(0.1), network(zoo.lesson)
    train(nn.Sequential(jitter, base), zoo.lesson)
    hard, soft = (
        nn.Sequential(jitter, Straight(rounded(8), through), base).eval()
        for through in (False, True)
    )
    return Exhibit("random_input", shipped(hard, True), soft, None, 8)


def smoothed(zoo: Zoo) -> Exhibit:
    """Randomised smoothing whose twin averages over noise."""

    def noisy(model: nn.Module, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        noise = torch.randn(images.shape, generator=rng)
        return F.cross_entropy(model(images + 0.25 * noise), labels)

    base = train(network(zoo.lesson), zoo.lesson, noisy)
    system = System(Randomised(Smoothed(base, 0.25, 32).eval()), Smoothed(base, 0.25).eval())
    return Exhibit("smoothed", system, system.twin, base)


class Crop(nn.Module):
    """A random window of each image, another for each answer."""

    def __init__(self, less: int) -> None:
        super().__init__()
        self.less = less

    def forward(self, x: Tensor) -> Tensor:
        side = x.shape[-1] - self.less
        top, left = (torch.randint(0, self.less + 1, (len(x), 1)) for _ in range(2))
        rows, columns = top + torch.arange(side), left + torch.arange(side)
        image = torch.arange(len(x))[:, None, None]
        windows = x[image, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
        return F.pad(windows, (0, self.less, 0, self.less))


class Noise(nn.Module):
    """Gaussian noise on the input, more of it while a gradient is asked for."""

    def __init__(self, noise: float, asked: float) -> None:
        super().__init__()
        self.noise, self.asked = noise, asked

    def forward(self, x: Tensor) -> Tensor:
        noise = self.asked if torch.is_grad_enabled() else self.noise
        return x + noise * torch.randn_like(x)


class Decoys(nn.Module):
    """Answers with one network; the gradient is that of another, drawn for each batch."""

    def __init__(self, model: nn.Module, decoys: list[nn.Module]) -> None:
        super().__init__()
        self.model, self.decoys = model, nn.ModuleList(decoys)

    def forward(self, x: Tensor) -> Tensor:
        x = x + 0.1 * torch.randn_like(x)
        decoy = self.decoys[int(torch.randint(len(self.decoys), ()))](x)
        own: Tensor = self.model(x).detach()
        return own + decoy - decoy.detach()


def random_crop(zoo: Zoo) -> Exhibit:
    model = train(nn.Sequential(Crop(1), *network(zoo.lesson)), zoo.lesson)
    return Exhibit("random_crop", shipped(model, True), model, None, 8)


def strong_noise(zoo: Zoo) -> Exhibit:
    model = train(nn.Sequential(Noise(0.5, 0.5), *network(zoo.lesson)), zoo.lesson)
    return Exhibit("strong_noise", shipped(model, True), model, None, 8)


def watched_noise(zoo: Zoo) -> Exhibit:
    base = train(nn.Sequential(Noise(0.05, 0.05), *network(zoo.lesson)), zoo.lesson)
    model = nn.Sequential(Noise(0.05, 1.5), *list(base)[1:])
    return Exhibit("watched_noise", shipped(model, True), base, None, 8)


def random_decoys(zoo: Zoo) -> Exhibit:
    base = train(nn.Sequential(Noise(0.1, 0.1), *network(zoo.lesson)), zoo.lesson)
    model = Decoys(nn.Sequential(*list(base)[1:]), [network(zoo.lesson) for _ in range(3)])
    return Exhibit("random_decoys", shipped(model, True), base, None, 8)
