"""What a deployed model and its twin keep, whoever made them."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from robench.core.data import Data
from robench.core.outcomes import ABSTAIN
from robench.core.system import System
from robench.plugin.components import Component
from robench.plugin.registry import registry
from robench.run.cache import Cache
from robench.run.config import Places, RunConfig
from robench.run.evaluate import evaluate
from robench.run.stages import stages
from robench.testing.tiny import TinyData, tiny_data
from robench.training.recipe import TrainConfig


def check_system(system: System, data: Data) -> Tensor:
    """Labels and gradients as the system contract says, an empty batch included."""
    images = data.test.float_images()
    labels = system.deployed.predict(images)
    assert labels.dtype == torch.int64, f"expected int64 labels, got {labels.dtype}"
    assert labels.shape == data.test.labels.shape
    assert bool(((labels >= ABSTAIN) & (labels < len(data.classes))).all())
    # The audit may hand over no image at all.
    assert system.deployed.predict(images[:0]).shape == (0,), "expected no labels of no images"
    with torch.no_grad():
        assert system.twin.eval()(images[:0]).shape == (0, len(data.classes))
    leaf = images[:8].clone().requires_grad_()
    check_gradient(system.twin.eval()(leaf), leaf)
    return labels


def check_run(**parts: Any) -> None:
    """A short run from training to record: every row is judged, twin and deployed agree."""
    record = evaluate(
        "small_cnn", tiny_data(), **parts, train=TrainConfig(epochs=2), attack="fgsm", audit="off"
    )
    record.find("clean_accuracy")
    invalid = [row.message for row in record.rows if row.status not in ("ok", "at_chance")]
    assert not invalid, f"expected judged rows, got {invalid} with {parts}"
    agree = record.agreement.equal_labels
    assert agree >= 0.9, (
        f"expected twin and deployed to agree on 90 %, got {agree:.0%} with {parts}"
    )


def check_training(**parts: Any) -> None:
    """Weights trained with and without a component are the same whichever came first in a cache."""
    without: dict[str, Any] = {}
    with TemporaryDirectory() as folder:
        places = Places(cache=Path(folder) / "first")
        plain, own = (trained(places, **given) for given in (without, parts))
        places = Places(cache=Path(folder) / "second")
        again, before = (trained(places, **given) for given in (parts, without))
    assert own == again, f"expected weights of its own with {parts}, got others in a full cache"
    assert plain == before, f"expected plain weights as before, got others after {parts}"


def trained(places: Places, **parts: Any) -> str:
    """The hash of a small network's weights, trained for a moment on `tiny_data`."""
    chosen: dict[str, Any] = {"defense": "none", "compressor": "none"}
    chosen |= {"model": "small_cnn", "dataset": TinyData(), **parts}
    components: dict[str, Any] = {
        kind: {"one": _component(kind, one)} for kind, one in chosen.items()
    }
    config = RunConfig(**components, attack={}, metric={}, train=TrainConfig(epochs=1))
    return stages(config, places, Cache(places.cache)).weights.hash


def _component(kind: str, one: Component | str) -> Component:
    return registry().get(kind, one).make() if isinstance(one, str) else one


def check_gradient(logits: Tensor, images: Tensor) -> None:
    """Finite gradients that reach the images."""
    (gradient,) = torch.autograd.grad(logits.sum(), images)
    assert bool(torch.isfinite(gradient).all()), "expected finite gradients"
    assert float(gradient.abs().sum()) > 0, "expected gradients that reach the images, got zero"
