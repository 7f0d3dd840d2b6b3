"""Real records of tiny models, made once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import robench
from robench.run.config import Places
from robench.testing import tiny_data, tiny_network


@dataclass(frozen=True, kw_only=True)
class Crashing(robench.Attack):
    """Raises."""

    def run(
        self,
        twin: nn.Module,
        images: Tensor,
        labels: Tensor,
        threat: robench.Threat,
        rng: torch.Generator,
    ) -> Tensor:
        raise RuntimeError("<b>out of memory</b>")


def blurred() -> nn.Module:
    """The tiny network, made worse."""
    model = tiny_network()
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
            parameter += 0.3 * noise * parameter.abs().mean()
    return model


@pytest.fixture(scope="session")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four records: two that compare, one audited under another protocol, one with a crash."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("made")
    places = Places(results=root / "results", cache=root / "cache", threads=1)
    data, attacks = tiny_data(), ("fgsm", "pgd", "cw", "square")
    metrics = ("accuracy", "size", "latency")
    shared = {"metric": metrics, "places": places, "audit": "off"}
    for model in (tiny_network(), blurred()):
        robench.evaluate(model, data, attack=attacks, **shared)  # type: ignore[arg-type]
    # Other seeds, so that they are other rows.
    audited: dict[str, Any] = {"attack": ("fgsm", "pgd"), "audit": "quick", "seed": 1}
    crashed: dict[str, Any] = {"attack": ("fgsm", Crashing()), "audit": "off", "seed": 2}
    for given in (audited, crashed):
        robench.evaluate(tiny_network(), data, places=places, **given)
    return root / "results"


@pytest.fixture(scope="session")
def page(records: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the four records."""
    from robench.leaderboard.build import build

    out = tmp_path_factory.mktemp("page") / "site"
    build([records], out)
    return out
