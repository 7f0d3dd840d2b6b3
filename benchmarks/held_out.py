"""Networks that no attack was tuned on: other architectures, widths, seeds and eps.

Look at them only once an attack is fixed; whoever tunes one uses `networks.TUNING`.
"""

from __future__ import annotations

from torch import nn

from benchmarks.masked import Bent, Clipped, FewLevels, Masked, Scaled
from benchmarks.networks import Network, Training, fast
from robench.plugin.components import Compressor
from robench_compressors.int8 import PTQInt8
from robench_compressors.ptq import PTQ
from robench_data.networks.cnn import small_cnn
from robench_data.networks.layers import centre
from robench_data.networks.resnet import ResNet
from robench_defenses.adversarial import AdversarialTraining


def mlp(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Two hidden layers of 128 units."""
    pixels = shape[0] * shape[1] * shape[2]
    return nn.Sequential(
        *(centre(shape[0]), nn.Flatten(), nn.Linear(pixels, 128), nn.ReLU()),
        *(nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, classes)),
    )


def tanh_cnn(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Two strided convolutions with tanh, which saturates."""
    features = 32 * (shape[1] // 4) * (shape[2] // 4)
    return nn.Sequential(
        *(centre(shape[0]), nn.Conv2d(shape[0], 16, 3, 2, 1), nn.Tanh()),
        *(nn.Conv2d(16, 32, 3, 2, 1), nn.Tanh(), nn.Flatten()),
        *(nn.Linear(features, 64), nn.Tanh(), nn.Linear(64, classes)),
    )


def wide_cnn(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Two convolutions of many channels, average-pooled, SiLU."""
    features = 96 * (shape[1] // 4) * (shape[2] // 4)
    return nn.Sequential(
        *(centre(shape[0]), nn.Conv2d(shape[0], 64, 3, padding=1), nn.SiLU(), nn.AvgPool2d(2)),
        *(nn.Conv2d(64, 96, 3, padding=1), nn.SiLU(), nn.AvgPool2d(2), nn.Flatten()),
        nn.Linear(features, classes),
    )


def strided_cnn(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Two 4x4 convolutions of stride 2 and 100 hidden units, as of Wong & Kolter (2018)."""
    features = 32 * (shape[1] // 4) * (shape[2] // 4)
    return nn.Sequential(
        *(centre(shape[0]), nn.Conv2d(shape[0], 16, 4, 2, 1), nn.ReLU()),
        *(nn.Conv2d(16, 32, 4, 2, 1), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(features, 100), nn.ReLU(), nn.Linear(100, classes)),
    )


def resnet14(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """CIFAR's ResNet with two blocks a stage, shortcuts without parameters, begun at half size."""
    network = ResNet(shape[0], classes, blocks=2, kind="pad")
    network.conv1.stride = (2, 2)
    return network


_TRAININGS: dict[str, Training] = {
    "digits_adv_seed7": Training(
        data="digits",
        build=small_cnn,
        defense=AdversarialTraining(eps=0.1, steps=10),
        recipe={"epochs": 30, "batch": 64},
        seed=7,
    ),
    "digits_mlp_adv": Training(
        data="digits",
        build=mlp,
        defense=AdversarialTraining(eps=0.2, steps=7),
        recipe={"epochs": 40, "batch": 64},
        seed=1,
    ),
    "digits_tanh": Training(
        data="digits", build=tanh_cnn, recipe={"epochs": 25, "batch": 64}, seed=2
    ),
    "digits_wide_trades": Training(
        data="digits",
        build=wide_cnn,
        defense=AdversarialTraining(eps=0.12, steps=5, trades=4.0),
        recipe={"epochs": 15, "batch": 64},
        seed=3,
    ),
    "mnist_strided_adv": Training(
        data="mnist",
        build=strided_cnn,
        defense=AdversarialTraining(eps=0.3, steps=10),
        recipe={"epochs": 6, "batch": 128, "lr": 0.002, "warmup": 1.0},
        images=30_000,
        seed=4,
    ),
    "mnist_tanh": Training(
        data="mnist",
        build=tanh_cnn,
        recipe={"epochs": 3, "batch": 128, "lr": 0.002},
        images=20_000,
        seed=5,
    ),
    "mnist_mlp_adv": Training(
        data="mnist",
        build=mlp,
        defense=AdversarialTraining(eps=0.2, steps=7),
        recipe={"epochs": 6, "batch": 128, "lr": 0.002, "warmup": 1.0},
        images=30_000,
        seed=8,
    ),
    "cifar_resnet14_adv": Training(
        data="cifar10",
        build=resnet14,
        defense=fast(4 / 255),
        recipe={"epochs": 5, "batch": 128, "lr": 0.005, "warmup": 0.5, "flip": True, "crop": 4},
        images=20_000,
        seed=6,
    ),
    "cifar_strided_adv": Training(
        data="cifar10",
        build=strided_cnn,
        defense=AdversarialTraining(eps=8 / 255, steps=3),
        recipe={"epochs": 8, "batch": 128, "lr": 0.002, "flip": True, "crop": 4},
        images=30_000,
        seed=7,
    ),
}


def _held(
    name: str,
    training: str,
    eps: float,
    compressor: Compressor | None = None,
    mask: type[Masked] | None = None,
) -> Network:
    return Network(
        name=name,
        weights=training,
        training=_TRAININGS[training],
        eps=eps,
        compressor=compressor,
        mask=mask,
    )


HELD_OUT: tuple[Network, ...] = (
    _held("digits_adv_seed7", "digits_adv_seed7", 0.1),
    _held("digits_adv_seed7_int8", "digits_adv_seed7", 0.15, PTQInt8()),
    _held("digits_mlp_adv", "digits_mlp_adv", 0.2),
    _held("digits_tanh", "digits_tanh", 0.06),
    _held("digits_tanh_3bit", "digits_tanh", 0.06, PTQ(bits=3, per_channel=True)),
    _held("digits_wide_trades", "digits_wide_trades", 0.12),
    _held("mnist_strided_adv", "mnist_strided_adv", 0.3),
    _held("mnist_tanh_4bit", "mnist_tanh", 0.06, PTQ(bits=4, scale="mse")),
    _held("mnist_mlp_adv", "mnist_mlp_adv", 0.2),
    _held("cifar_resnet14_adv", "cifar_resnet14_adv", 4 / 255),
    _held("cifar_strided_adv", "cifar_strided_adv", 8 / 255),
    _held("cifar_strided_adv_3bit", "cifar_strided_adv", 4 / 255, PTQ(bits=3)),
)

MASKED: tuple[Network, ...] = (
    _held("few_levels", "digits_adv_seed7", 0.1, mask=FewLevels),
    _held("clipped_logits", "digits_adv_seed7", 0.1, mask=Clipped),
    _held("scaled_logits", "digits_mlp_adv", 0.2, mask=Scaled),
    _held("bent_gradient", "digits_tanh", 0.06, mask=Bent),
)
