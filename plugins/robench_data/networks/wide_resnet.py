"""Wide ResNet with pre-activation (Zagoruyko & Komodakis, 2016; the w32-10 of Madry et al.)."""

from __future__ import annotations

from torch import Tensor, nn

from robench_data.networks.layers import centre
from robench_data.networks.resnet import conv3x3, init

STEM = 16


class PreactBlock(nn.Module):
    """Batch norm and ReLU before each of two 3x3 convolutions; the sum stays linear."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.relu1 = nn.ReLU()
        self.conv1 = conv3x3(inputs, outputs, stride)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu2 = nn.ReLU()
        self.conv2 = conv3x3(outputs, outputs)
        self.changes = inputs != outputs or stride != 1
        self.shortcut = (
            nn.Conv2d(inputs, outputs, 1, stride, bias=False) if self.changes else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, C, H, W) to (N, outputs, H / stride, W / stride)."""
        active = self.relu1(self.bn1(x))
        y = self.conv2(self.relu2(self.bn2(self.conv1(active))))
        out: Tensor = y + self.shortcut(active if self.changes else x)
        return out


def stage(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
    """Blocks of one width; the first changes width and resolution."""
    first = PreactBlock(inputs, outputs, stride)
    return nn.Sequential(first, *(PreactBlock(outputs, outputs, 1) for _ in range(blocks - 1)))


class WideResNet(nn.Module):
    """Three stages of pre-activation blocks, `width` times 16, 32, 64 channels."""

    def __init__(self, channels: int, classes: int, blocks: int, width: int) -> None:
        super().__init__()
        widths = (STEM * width, 2 * STEM * width, 4 * STEM * width)
        self.normalize = centre(channels)
        self.conv1 = conv3x3(channels, STEM)
        self.stage1 = stage(STEM, widths[0], blocks, 1)
        self.stage2 = stage(widths[0], widths[1], blocks, 2)
        self.stage3 = stage(widths[1], widths[2], blocks, 2)
        self.bn = nn.BatchNorm2d(widths[2])
        self.relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(widths[2], classes)
        init(self)

    def forward(self, images: Tensor) -> Tensor:
        """Float images in [0,1], shape (N, C, H, W), to logits (N, classes)."""
        x = self.conv1(self.normalize(images))
        x = self.stage3(self.stage2(self.stage1(x)))
        logits: Tensor = self.fc(self.flatten(self.pool(self.relu(self.bn(x)))))
        return logits
