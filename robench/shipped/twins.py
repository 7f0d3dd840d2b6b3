"""The twins of a file: what attacks search on, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from robench.shipped.deployed import FileDeployed

Twins = tuple[nn.Module, Mapping[str, nn.Module], str]
"""The faithful twin, others by name, and why there is none with gradients."""


class Answers(nn.Module):
    """The file itself where a twin is expected: it answers, and has no gradient."""

    def __init__(self, deployed: FileDeployed) -> None:
        super().__init__()
        self.deployed = deployed

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of float32 images in [0,1], as the runtime gives them."""
        with torch.no_grad():
            return self.deployed.logits(images.detach()).to(images.device)

    def __deepcopy__(self, memo: dict[int, Any]) -> Answers:
        return Answers(self.deployed)  # what a runtime opened cannot be copied


def twins(path: Path, deployed: FileDeployed) -> Twins:
    """The twins of an opened file; a black box for operators that no reader knows."""
    return Answers(deployed), {}, f"no reader knows files that end in {path.suffix}"
