"""Plain convolutional networks: sequences whose layers carry stable names."""

from __future__ import annotations

from torch import nn

from robench import ConfigError
from robench_data.networks.layers import centre


def pooled(shape: tuple[int, int, int]) -> int:
    """Pixels left of an image after two 2x2 poolings; raises ConfigError when none is."""
    _, height, width = shape
    if min(height, width) < 4:
        raise ConfigError(
            f"expected images of at least 4x4 pixels, got {height}x{width}; "
            "choose model=resnet20 for smaller ones"
        )
    return (height // 4) * (width // 4)


def small_cnn(shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """Three 3x3 convolutions and two linear layers."""
    network = nn.Sequential()
    network.add_module("normalize", centre(shape[0]))
    network.add_module("conv1", nn.Conv2d(shape[0], 32, 3, padding=1))
    network.add_module("relu1", nn.ReLU())
    network.add_module("conv2", nn.Conv2d(32, 32, 3, padding=1))
    network.add_module("relu2", nn.ReLU())
    network.add_module("pool1", nn.MaxPool2d(2))
    network.add_module("conv3", nn.Conv2d(32, 64, 3, padding=1))
    network.add_module("relu3", nn.ReLU())
    network.add_module("pool2", nn.MaxPool2d(2))
    network.add_module("flatten", nn.Flatten())
    network.add_module("fc1", nn.Linear(64 * pooled(shape), 128))
    network.add_module("relu4", nn.ReLU())
    network.add_module("fc2", nn.Linear(128, classes))
    return network


def cnn4(shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """Two 5x5 convolutions, each max-pooled, and two linear layers."""
    network = nn.Sequential()
    network.add_module("normalize", centre(shape[0]))
    network.add_module("conv1", nn.Conv2d(shape[0], 32, 5, padding=2))
    network.add_module("relu1", nn.ReLU())
    network.add_module("pool1", nn.MaxPool2d(2))
    network.add_module("conv2", nn.Conv2d(32, 64, 5, padding=2))
    network.add_module("relu2", nn.ReLU())
    network.add_module("pool2", nn.MaxPool2d(2))
    network.add_module("flatten", nn.Flatten())
    network.add_module("fc1", nn.Linear(64 * pooled(shape), 512))
    network.add_module("relu3", nn.ReLU())
    network.add_module("fc2", nn.Linear(512, classes))
    return network
