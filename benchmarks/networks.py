"""The networks on which attacks are compared, trained by robench's own components.

    python -m benchmarks.networks FOLDER [--held-out] [--names NAME ...]

Writes FOLDER/NAME.safetensors for each that is not there: the float weights. What compresses them
is deterministic and runs anew when they are loaded, so that all sides get the same network. The
set below is the one that attacks may be tuned on; `held_out.py` has those that they may not.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.masked import Masked
from robench.base.seeds import derive, seed_scope
from robench.core.data import Data, Split, stratified
from robench.core.threat import Threat
from robench.core.weights import load_weights, save_weights
from robench.plugin.components import Compressor, Defense
from robench.run.config import Places
from robench.training.loop import Trainer
from robench.training.loss import plain_loss
from robench.training.recipe import Recipe
from robench_compressors.ptq import PTQ
from robench_data.cifar10 import CIFAR10
from robench_data.digits import Digits
from robench_data.mnist import MNIST
from robench_data.networks.cnn import small_cnn
from robench_data.networks.resnet import ResNet
from robench_defenses.adversarial import AdversarialTraining

Build = Callable[[tuple[int, int, int], int], nn.Module]
L2 = {"digits": 0.8, "mnist": 2.0, "cifar10": 0.5}
"""Radii in L2 of pixels in [0,1], by data set."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a float network comes to be: architecture, data, defense and recipe."""

    data: str
    """digits, mnist or cifar10."""
    build: Build
    defense: Defense | None = None
    """None: plain training."""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    images: int | None = None
    """Training images, a stratified draw; None: all of them."""
    seed: int = 0

    def fit(self, root: Path) -> nn.Module:
        """Train from the seed; `root` is where the data lie."""
        data = load_data(self.data, root)
        if self.images:
            data = Data(
                draw(data.train, self.images, self.seed), data.test, data.classes, data.threat
            )
        with seed_scope(derive(self.seed, "build")):
            model = self.build(data.shape, len(data.classes))
        trainer = Trainer(Recipe(**self.recipe), self.seed, torch.device("cpu"))
        if self.defense is None:
            return trainer.fit(model, data.train, plain_loss)
        return self.defense.fit(model, data, trainer)


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network of the set, and the ball in which it is attacked."""

    name: str
    weights: str
    """Name of its training, and of the file that keeps its float weights."""
    training: Training
    eps: float
    norm: str = "linf"
    compressor: Compressor | None = None
    mask: type[Masked] | None = None
    """What hides its gradients; None: nothing does."""

    @property
    def in_l2(self) -> Network:
        """The same network in the L2 ball of its data."""
        return replace(self, norm="l2", eps=L2[self.training.data])

    def load(self, folder: Path, root: Path) -> Subject:
        """Read its weights from `folder`, compress them, and draw the images to attack."""
        data = load_data(self.training.data, root)
        model = self.training.build(data.shape, len(data.classes))
        load_weights(model, folder / f"{self.weights}.safetensors").eval()
        twin = self.compressor.finish(model, data).twin if self.compressor else model
        return Subject(self, self.mask(twin) if self.mask else twin, data.test)

    def digest(self, folder: Path) -> str:
        """SHA-256 of its weights in `folder`, 16 hexadecimal digits."""
        content = (folder / f"{self.weights}.safetensors").read_bytes()
        return hashlib.sha256(content).hexdigest()[:16]


@dataclass(frozen=True)
class Subject:
    """A loaded network with its test images."""

    network: Network
    twin: nn.Module
    test: Split
    others: bool = False
    """Whether `images` are those that the usual 500 do not hold."""

    def __post_init__(self) -> None:
        self.twin.eval().requires_grad_(False)

    @property
    def adaptive(self) -> nn.Module:
        """What an attacker who knows of a mask differentiates; the twin where there is none."""
        return self.twin.adaptive if isinstance(self.twin, Masked) else self.twin

    def images(self, count: int) -> tuple[Tensor, Tensor]:
        """A stratified draw of test images, the same for all: float32 (N, C, H, W), labels (N,)."""
        chosen = _others(self.test, count) if self.others else draw(self.test, count, 0)
        return chosen.float_images(), chosen.labels

    def threat(self, grid: bool) -> Threat:
        """The network's ball, its examples on the 8-bit grid or not."""
        return Threat(self.network.norm, self.network.eps, grid)


USUAL = 500
"""Images of the tables, on which stages were looked at."""


def _others(split: Split, count: int) -> Split:
    """`count` images of another draw, without the usual ones."""
    usual, drawn = (
        stratified(split.labels, size, np.random.default_rng(seed))
        for seed, size in enumerate((USUAL, 2 * USUAL + count))
    )
    return split.take(drawn[~torch.isin(drawn, usual)][:count])


def draw(split: Split, count: int, seed: int) -> Split:
    """`count` images of a split, classes in proportion."""
    return split.take(stratified(split.labels, count, np.random.default_rng(seed)))


@cache
def load_data(name: str, root: Path) -> Data:
    """A data set by name. Of the digits 560 instead of the usual 360 are kept to test on."""
    if name != "digits":
        return {"mnist": MNIST(), "cifar10": CIFAR10()}[name].load(root)
    data = Digits().load(root)
    images = torch.cat([data.train.images, data.test.images])
    everything = Split(images, torch.cat([data.train.labels, data.test.labels]))
    chosen = stratified(everything.labels, 560, np.random.default_rng(0))
    rest = torch.ones(len(everything), dtype=torch.bool)
    rest[chosen] = False
    train = everything.take(rest.nonzero().flatten())
    return Data(train, everything.take(chosen), data.classes, data.threat)


def resnet8(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """CIFAR's ResNet with one block a stage: 8 layers."""
    return ResNet(shape[0], classes, blocks=1, kind="conv")


def fast(eps: float) -> AdversarialTraining:
    """Single-step training from a random start (Wong et al., 2020)."""
    return AdversarialTraining(eps=eps, steps=1, step=1.25)


DIGITS = {"epochs": 20, "batch": 64}
MNIST_RECIPE = {"epochs": 4, "batch": 128, "lr": 0.002, "warmup": 0.5}
CIFAR = {"epochs": 5, "batch": 128, "lr": 0.005, "warmup": 0.5, "flip": True, "crop": 4}

TRAININGS: dict[str, Training] = {
    "digits_plain": Training(data="digits", build=small_cnn, recipe=DIGITS),
    "digits_adv": Training(
        data="digits",
        build=small_cnn,
        defense=AdversarialTraining(eps=0.15, steps=7),
        recipe={**DIGITS, "epochs": 30},
    ),
    "mnist_plain": Training(
        data="mnist", build=small_cnn, recipe={**MNIST_RECIPE, "epochs": 2}, images=20_000
    ),
    "mnist_adv": Training(
        data="mnist",
        build=small_cnn,
        defense=AdversarialTraining(eps=0.2, steps=5),
        recipe=MNIST_RECIPE,
        images=12_000,
    ),
    "cifar_adv": Training(
        data="cifar10", build=resnet8, defense=fast(8 / 255), recipe=CIFAR, images=30_000
    ),
    "cifar_plain": Training(
        data="cifar10", build=resnet8, recipe={**CIFAR, "epochs": 4}, images=20_000
    ),
}


def network(
    name: str,
    training: str,
    eps: float,
    compressor: Compressor | None = None,
) -> Network:
    """A network of the set to tune on, by the name of its training."""
    return Network(
        name=name, weights=training, training=TRAININGS[training], eps=eps, compressor=compressor
    )


TUNING: tuple[Network, ...] = (
    network("digits_plain", "digits_plain", 0.15),
    network("digits_8bit", "digits_plain", 0.15, PTQ(bits=8)),
    network("digits_4bit", "digits_plain", 0.15, PTQ(bits=4)),
    network("digits_3bit", "digits_plain", 0.1, PTQ(bits=3)),
    network("digits_adv", "digits_adv", 0.15),
    network("digits_adv_4bit", "digits_adv", 0.15, PTQ(bits=4)),
    network("mnist_plain", "mnist_plain", 0.2),
    network("mnist_8bit", "mnist_plain", 0.2, PTQ(bits=8)),
    network("mnist_adv", "mnist_adv", 0.2),
    network("cifar_plain", "cifar_plain", 2 / 255),
    network("cifar_adv", "cifar_adv", 8 / 255),
    network("cifar_adv_4bit", "cifar_adv", 8 / 255, PTQ(bits=4)),
)


def train(folder: Path, networks: tuple[Network, ...], root: Path) -> None:
    """Train what `folder` lacks, and say how accurate each network is on its 500 images."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in networks:
        path, start = folder / f"{one.weights}.safetensors", time.process_time()
        if not path.exists():
            save_weights(one.training.fit(root), path)
        subject = one.load(folder, root)
        images, labels = subject.images(500)
        with torch.no_grad():
            right = (subject.twin(images).argmax(1) == labels).float().mean()
        taken = time.process_time() - start
        print(f"{one.name:18} clean {100 * right:5.1f} %  ({taken:.0f} s)", flush=True)


def main() -> None:
    from benchmarks.held_out import HELD_OUT

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--names", nargs="*")
    options = parser.parse_args()
    torch.set_num_threads(1)
    chosen = HELD_OUT if options.held_out else TUNING
    named = tuple(n for n in chosen if not options.names or n.name in options.names)
    train(options.folder, named, Places.from_environment().data_root)


if __name__ == "__main__":
    main()
