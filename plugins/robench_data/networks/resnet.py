"""CIFAR ResNet, version 1 (He et al., 2016, section 4.2)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from robench_data.networks.layers import centre

WIDTHS = (16, 32, 64)


def conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """A 3x3 convolution without bias, for a batch norm beside it."""
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)


def init(network: nn.Module) -> None:
    """He initialisation of all convolutions, fan-out mode."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


class PadShortcut(nn.Module):
    """Option A: take every second pixel and fill the new channels with zeros."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.channels = channels
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, C, H, W) to (N, C + channels, H / stride, W / stride)."""
        x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, 0, self.channels))


def shortcut(inputs: int, outputs: int, stride: int, kind: str) -> nn.Module:
    """What the block's sum adds: the input itself where the shapes agree."""
    if inputs == outputs and stride == 1:
        return nn.Identity()
    if kind == "pad":
        return PadShortcut(outputs - inputs, stride)
    conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int, kind: str) -> None:
        super().__init__()
        self.conv1 = conv3x3(inputs, outputs, stride)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = conv3x3(outputs, outputs)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = shortcut(inputs, outputs, stride, kind)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, C, H, W) to (N, outputs, H / stride, W / stride)."""
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        out: Tensor = self.relu2(y + self.shortcut(x))
        return out


def stage(inputs: int, outputs: int, blocks: int, stride: int, kind: str) -> nn.Sequential:
    """Blocks of one width; the first changes width and resolution."""
    first = Block(inputs, outputs, stride, kind)
    return nn.Sequential(first, *(Block(outputs, outputs, 1, kind) for _ in range(blocks - 1)))


class ResNet(nn.Module):
    """Three stages of blocks, widths 16, 32, 64, then a global average and one linear layer."""

    def __init__(self, channels: int, classes: int, blocks: int, kind: str) -> None:
        super().__init__()
        self.normalize = centre(channels)
        self.conv1 = conv3x3(channels, WIDTHS[0])
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.relu1 = nn.ReLU()
        self.stage1 = stage(WIDTHS[0], WIDTHS[0], blocks, 1, kind)
        self.stage2 = stage(WIDTHS[0], WIDTHS[1], blocks, 2, kind)
        self.stage3 = stage(WIDTHS[1], WIDTHS[2], blocks, 2, kind)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(WIDTHS[2], classes)
        init(self)

    def forward(self, images: Tensor) -> Tensor:
        """Float images in [0,1], shape (N, C, H, W), to logits (N, classes)."""
        x = self.relu1(self.bn1(self.conv1(self.normalize(images))))
        x = self.stage3(self.stage2(self.stage1(x)))
        logits: Tensor = self.fc(self.flatten(self.pool(x)))
        return logits
