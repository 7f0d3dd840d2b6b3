"""Small equivalents of the networks robench ships, written as their plugins write them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Normalise(nn.Module):
    def __init__(self, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


CIFAR = ([0.4914, 0.4822, 0.4465], [0.247, 0.2435, 0.2616])


def small_cnn(shape: tuple[int, int, int] = (3, 32, 32), width: int = 16) -> nn.Module:
    channels, height, side = shape
    features = 2 * width * (height // 4) * (side // 4)
    return nn.Sequential(
        Normalise([0.5] * channels, [0.25] * channels),
        nn.Conv2d(channels, width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(features, 64),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(64, 10),
    )


class BasicBlock(nn.Module):
    """CIFAR ResNet v1 block; option A (zero padding) or B (1x1 convolution)."""

    def __init__(self, inside: int, outside: int, stride: int, option: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.changes = stride != 1 or inside != outside
        self.padding = outside - inside
        self.shortcut = (
            nn.Sequential(
                nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside)
            )
            if self.changes and option == "B"
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.shortcut is not None:
            x = self.shortcut(x)
        elif self.changes:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.padding // 2, self.padding // 2))
        return F.relu(y + x)


class CifarResNet(nn.Module):
    def __init__(self, blocks: int = 3, width: int = 16, option: str = "B") -> None:
        super().__init__()
        self.normalise = Normalise(*CIFAR)
        self.conv = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        stages, inside = [], width
        for stage, outside in enumerate((width, 2 * width, 4 * width)):
            for block in range(blocks):
                stride = 2 if stage and not block else 1
                stages.append(BasicBlock(inside, outside, stride, option))
                inside = outside
        self.blocks = nn.Sequential(*stages)
        self.fc = nn.Linear(inside, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(F.relu(self.bn(self.conv(self.normalise(x)))))
        x = F.avg_pool2d(x, x.size()[3])
        return self.fc(x.view(x.size(0), -1))


class PreActivationBlock(nn.Module):
    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inside)
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        changes = stride != 1 or inside != outside
        self.shortcut = nn.Conv2d(inside, outside, 1, stride, bias=False) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(x))
        shortcut = x if self.shortcut is None else self.shortcut(y)
        y = self.conv2(torch.relu(self.bn2(self.conv1(y))))
        return y + shortcut


class WideResNet(nn.Module):
    def __init__(self, blocks: int = 5, width: int = 4) -> None:
        super().__init__()
        self.normalise = Normalise(*CIFAR)
        self.conv = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        stages, inside = [], 16
        for stage, outside in enumerate((16 * width, 32 * width, 64 * width)):
            for block in range(blocks):
                stages.append(PreActivationBlock(inside, outside, 2 if stage and not block else 1))
                inside = outside
        self.blocks = nn.Sequential(*stages)
        self.bn = nn.BatchNorm2d(inside)
        self.fc = nn.Linear(inside, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn(self.blocks(self.conv(self.normalise(x)))))
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


def cnn4() -> nn.Module:
    """Two 5x5 convolutions and two fully connected layers for MNIST."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(3136, 1024),
        nn.ReLU(),
        nn.Linear(1024, 10),
    )


class Torchvision(nn.Module):
    def __init__(self, build: Callable[..., nn.Module], classes: int = 10) -> None:
        super().__init__()
        self.normalise = Normalise([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        self.net = build(weights=None, num_classes=classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(self.normalise(x))


def settle(model: nn.Module, shape: tuple[int, int, int], seed: int = 0) -> nn.Module:
    """Batch norms with statistics and gains that are not the initial ones; evaluation mode."""
    rng = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            with torch.no_grad():
                module.weight.copy_(torch.rand(module.weight.shape, generator=rng) * 0.4 + 0.2)
                module.bias.copy_(torch.randn(module.bias.shape, generator=rng) * 0.2)
            module.momentum = 0.5
    model.train()
    with torch.no_grad():
        for _ in range(5):
            model(torch.rand(16, *shape, generator=rng))
    return model.eval()
