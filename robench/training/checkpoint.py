"""The state of an unfinished training, so that a killed run goes on where it was."""

from __future__ import annotations

import sys
import time
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from robench.base.files import write_whole
from robench.base.text import reason

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
        """Restore a saved state; returns the number of finished epochs.

        A file that is damaged is thrown away, with one line.
        """
        if self.path is None or not self.path.exists():
            return 0
        untrained = {name: value.clone() for name, value in model.state_dict().items()}
        try:
            state = torch.load(self.path, weights_only=True)
            epochs = int(state["epochs"])
            optimizer.load_state_dict(state["optimizer"])
            model.load_state_dict(state["model"])
            return epochs
        except Exception as error:  # a torn file raises errors of every kind
            text = f"robench: a damaged checkpoint is thrown away ({reason(error)[:100]})"
            print(f"{text}: the training starts again", file=sys.stderr)  # noqa: T201
            model.load_state_dict(untrained)
            self.path.unlink()
            return 0

    def save(self, model: nn.Module, optimizer: torch.optim.Optimizer, epochs: int) -> None:
        """Keep the state after `epochs` epochs unless the last one is recent."""
        if self.path is None or time.monotonic() - self.saved < SECONDS_BETWEEN:
            return
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epochs": epochs}
        # Torch's own writer says of a full disk what nobody understands.
        written = BytesIO()
        torch.save(state, written)
        write_whole(self.path, written.getvalue())
        self.saved = time.monotonic()


def remove_checkpoints(folder: Path) -> None:
    """Delete the checkpoints of a training that is done."""
    for path in folder.glob("*.checkpoint"):
        path.unlink()
