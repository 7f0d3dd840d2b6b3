"""ResNet-9, the shallow residual network of Page (2018), "How to train your ResNet"."""

from __future__ import annotations

from torch import Tensor, nn

from robench_data.networks.layers import centre
from robench_data.networks.resnet import conv3x3, init


def convolution(inputs: int, outputs: int) -> nn.Sequential:
    """A 3x3 convolution, batch norm and ReLU."""
    return nn.Sequential(conv3x3(inputs, outputs), nn.BatchNorm2d(outputs), nn.ReLU())


class Residual(nn.Module):
    """Two convolutions, each with batch norm and ReLU, beside the input itself."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = convolution(channels, channels)
        self.conv2 = convolution(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, C, H, W) to the same shape."""
        out: Tensor = x + self.conv2(self.conv1(x))
        return out


class ResNet9(nn.Module):
    """Four convolutions of 1, 2, 4 and 8 times `width` channels, max pools between, two residuals.

    A global average and one linear layer stand at the end.
    """

    def __init__(self, channels: int, classes: int, width: int) -> None:
        super().__init__()
        self.normalize = centre(channels)
        self.conv1 = convolution(channels, width)
        self.conv2 = convolution(width, 2 * width)
        self.residual1 = Residual(2 * width)
        self.conv3 = convolution(2 * width, 4 * width)
        self.conv4 = convolution(4 * width, 8 * width)
        self.residual2 = Residual(8 * width)
        self.pool1 = nn.MaxPool2d(2)
        self.pool2 = nn.MaxPool2d(2)
        self.pool3 = nn.MaxPool2d(2)
        self.average = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(8 * width, classes)
        init(self)

    def forward(self, images: Tensor) -> Tensor:
        """Float images in [0,1], shape (N, C, H, W), to logits (N, classes)."""
        x = self.pool1(self.conv2(self.conv1(self.normalize(images))))
        x = self.pool2(self.conv3(self.residual1(x)))
        x = self.residual2(self.pool3(self.conv4(x)))
        logits: Tensor = self.fc(self.flatten(self.average(x)))
        return logits
