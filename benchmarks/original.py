"""The original AutoAttack of Croce & Hein (ICML 2020), from PyPI as `pyautoattack`, timed.

Release 0.2.0 has the attacks of github.com/fra31/auto-attack at a392200 line for line; only
logging and the form of the imports differ. It is no dependency: where it cannot be imported, its
side is left out.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from importlib import import_module, metadata
from typing import Any

import torch
from torch import Tensor, nn

from robench.base.seeds import seed_scope
from robench.core.threat import Threat
from robench.plugin.spent import Spent

PARTS = ("apgd", "apgd_targeted", "fab", "square")
"""Attributes of its standard version, in the order in which they run."""
BATCH = 250


class Rounded(nn.Module):
    """A network that rounds its input to the 8-bit grid, gradients going straight through."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """The model's logits of the rounded images."""
        rounded = images + ((images * 255).round() / 255 - images).detach()
        logits: Tensor = self.model(rounded)
        return logits


@dataclass
class Cost:
    """What a search took."""

    seconds: dict[str, float] = field(default_factory=dict)
    """CPU seconds by part."""
    queries: int = 0
    """Images sent through the network, those whose gradient was asked included."""
    gradients: int = 0
    """Images whose gradient was asked."""

    @property
    def total(self) -> float:
        """CPU seconds of all parts."""
        return sum(self.seconds.values())


def installed() -> str | None:
    """The version of pyautoattack; None where it is not importable."""
    try:
        import_module("pyautoattack")
    except ImportError:
        return None
    return metadata.version("pyautoattack")


def standard(
    model: nn.Module, images: Tensor, labels: Tensor, threat: Threat, seed: int
) -> tuple[Tensor, Cost]:
    """Run its version `standard` in a ball: candidates in float, and what it spent.

    APGD-CE (100 steps), targeted APGD-DLR (9 x 100), targeted FAB (9 x 100), Square (5,000
    queries), each on what the one before left; batches of 250, as is its default.
    """
    asked, cost = Spent(), Cost()
    counted = asked.watch(nn.Sequential(model))
    build = import_module("pyautoattack").AutoAttack
    norm = {"linf": "Linf", "l2": "L2"}[threat.norm]
    attack = build(counted, norm=norm, eps=threat.eps, seed=seed, version="standard", device="cpu")
    for part in PARTS:
        _time(getattr(attack, part), part, cost)
    found = []
    start = time.process_time()
    # Batch by batch, so that a part of the images is attacked exactly as all of them are.
    for pixels, truth in zip(images.split(BATCH), labels.split(BATCH), strict=True):
        with seed_scope(seed):
            found.append(attack.run_standard_evaluation(pixels, truth, batch_size=BATCH)[0])
    cost.seconds["rest"] = time.process_time() - start - cost.total
    cost.queries, cost.gradients = asked.queries, asked.gradients
    return torch.cat(found).detach(), cost


def _time(part: Any, name: str, cost: Cost) -> None:
    perturb = part.perturb

    def timed(*args: Any, **kwargs: Any) -> Any:
        start = time.process_time()
        result = perturb(*args, **kwargs)
        cost.seconds[name] = cost.seconds.get(name, 0.0) + time.process_time() - start
        return result

    part.perturb = timed
