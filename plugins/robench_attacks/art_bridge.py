"""The way from robench to ART and back: one numpy conversion a batch, nothing printed."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from art.attacks import EvasionAttack
from art.estimators.classification import PyTorchClassifier
from numpy.typing import NDArray
from torch import Tensor, nn

from robench.base.seeds import seed_scope
from robench.core.system import module_device
from robench.search import searching

Search = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""Twin, float32 images in [0,1] and int64 labels on its device -> candidates."""


class _Whole(nn.Module):
    """Hides what a twin is made of: ART runs the children of an nn.Sequential one by one."""

    def __init__(self, twin: nn.Module) -> None:
        super().__init__()
        self.twin = twin

    def forward(self, images: Tensor) -> Tensor:
        """The twin's logits."""
        logits: Tensor = self.twin(images)
        return logits


def twin_classifier(twin: nn.Module, images: Tensor) -> PyTorchClassifier:
    """ART's classifier around a twin, on the twin's device; `images` give shape and classes."""
    device = module_device(twin)
    with torch.no_grad():
        classes = twin(images[:1].to(device)).shape[1]
    return PyTorchClassifier(
        model=_Whole(twin),
        loss=nn.CrossEntropyLoss(),
        input_shape=tuple(images.shape[1:]),
        nb_classes=classes,
        clip_values=(0.0, 1.0),
        device_type="cpu" if device.type == "cpu" else "gpu",
    )


def searched(art_class: type[Any], search: Search) -> type[Any]:
    """A subclass of an ART attack that searches with `search` in place of ART's loop.

    ART's loops differentiate the parameters along with the images, convert settings at every step
    and predict twice more to log a success rate: all that goes, ART's interface stays.
    """

    def generate(
        self: Any, x: NDArray[np.float32], y: NDArray[Any] | None = None, **_: Any
    ) -> NDArray[np.float32]:
        """Candidates for images `x` with integer labels `y`, shape of `x`."""
        twin = self.estimator.model.twin
        images = torch.from_numpy(x).to(self.estimator.device)
        labels = torch.as_tensor(y, dtype=torch.int64).to(self.estimator.device)
        found: NDArray[np.float32] = search(twin, images, labels).cpu().numpy()
        return found

    return type(f"Robench{art_class.__name__}", (art_class,), {"generate": generate})


class AddedNoise(EvasionAttack):  # type: ignore[misc]  # ART is not typed
    """Adds given noise (shape of the images, [0,1] pixels) and clips to [0,1]."""

    _estimator_requirements = ()

    def __init__(self, estimator: PyTorchClassifier, noise: Tensor) -> None:
        super().__init__(estimator=estimator)
        self.noise = noise.numpy()

    def generate(
        self, x: NDArray[np.float32], y: NDArray[Any] | None = None, **_: Any
    ) -> NDArray[np.float32]:
        """The noisy images; labels are not used."""
        noisy: NDArray[np.float32] = np.clip(x + self.noise, 0, 1)
        return noisy


def generate(
    build: Callable[[PyTorchClassifier], Any],
    twin: nn.Module,
    images: Tensor,
    labels: Tensor,
    rng: torch.Generator,
) -> Tensor:
    """Build an ART attack and run it quietly, its global random numbers seeded by `rng`.

    The state of the global generators is put back: some of ART's constructors draw from them too.
    """
    seed = int(torch.randint(2**31, (), generator=rng))
    with seed_scope(seed), searching(twin), quiet():
        attack = build(twin_classifier(twin, images))
        found = attack.generate(x=images.cpu().numpy(), y=labels.cpu().numpy())
    return torch.from_numpy(np.ascontiguousarray(found, dtype=np.float32))


@contextmanager
def quiet() -> Iterator[None]:
    """Keep ART's warnings and log lines off the terminal."""
    logger = logging.getLogger("art")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
