"""The built-in data sets and network architectures."""

from __future__ import annotations

from robench import Register, hookimpl
from robench_data.caltech101 import Caltech101
from robench_data.checkpoint import Checkpoint
from robench_data.cifar10 import CIFAR10
from robench_data.cnn4 import CNN4
from robench_data.digits import Digits
from robench_data.image_folder import ImageFolder
from robench_data.imagenet import ImageNet
from robench_data.mnist import MNIST
from robench_data.npz import Npz
from robench_data.python_model import PythonModel
from robench_data.resnet9 import ResNet9
from robench_data.resnet20 import ResNet20
from robench_data.robustbench import RobustBench
from robench_data.small_cnn import SmallCNN
from robench_data.torchvision_model import TorchvisionModel
from robench_data.wide_resnet32 import WideResNet32


@hookimpl
def robench_register(register: Register) -> None:
    """Register the data sets and models."""
    register("dataset", "digits", Digits)
    register("dataset", "mnist", MNIST)
    register("dataset", "cifar10", CIFAR10)
    register("dataset", "caltech101", Caltech101)
    register("dataset", "imagenet", ImageNet)
    register("dataset", "npz", Npz)
    register("dataset", "image_folder", ImageFolder)
    register("model", "small_cnn", SmallCNN)
    register("model", "cnn4", CNN4)
    register("model", "resnet20", ResNet20)
    register("model", "resnet9", ResNet9)
    register("model", "wide_resnet32", WideResNet32)
    register("model", "torchvision", TorchvisionModel)
    register("model", "checkpoint", Checkpoint)
    register("model", "robustbench", RobustBench)
    register("model", "python", PythonModel)
