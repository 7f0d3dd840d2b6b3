"""From robench to a stock ART attack and back: one numpy conversion a batch, nothing printed."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier
from torch import Tensor, nn

from robench import module_device, seed_scope
from robench.search import searching


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


def run_art(
    build: Callable[[PyTorchClassifier], Any],
    twin: nn.Module,
    images: Tensor,
    labels: Tensor,
    rng: torch.Generator,
) -> Tensor:
    """Build a stock ART attack around a twin and run it quietly.

    `rng` seeds the global generators, whose state is put back: some of ART's constructors draw too.
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
