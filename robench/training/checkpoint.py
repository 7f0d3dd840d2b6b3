"""The state of an unfinished training, so that a killed run goes on where it was."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import nn

SECONDS_BETWEEN = 5.0
"""A checkpoint costs time; less work than this is not worth keeping."""


class Checkpoint:
    """One file in `folder`, replaced at most every SECONDS_BETWEEN; no folder, no checkpoint."""

    def __init__(self, folder: Path | None, name: str) -> None:
        self.path = folder / f"{name}.checkpoint" if folder else None
        self.saved = time.monotonic()

    def load(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
        """Restore a saved state; returns the number of finished epochs."""
        if self.path is None or not self.path.exists():
            return 0
        state = torch.load(self.path, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        return int(state["epochs"])

    def save(self, model: nn.Module, optimizer: torch.optim.Optimizer, epochs: int) -> None:
        """Keep the state after `epochs` epochs unless the last one is recent."""
        if self.path is None or time.monotonic() - self.saved < SECONDS_BETWEEN:
            return
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epochs": epochs}
        torch.save(state, self.path.with_suffix(".new"))
        self.path.with_suffix(".new").replace(self.path)
        self.saved = time.monotonic()


def remove_checkpoints(folder: Path) -> None:
    """Delete the checkpoints of a training that is done."""
    for path in folder.glob("*.checkpoint"):
        path.unlink()
