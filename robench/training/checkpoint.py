"""The state of an unfinished training, so that a killed run goes on where it was."""

from __future__ import annotations

import sys
import time
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from robench.base.files import write_whole
from robench.base.seeds import global_states, set_global_states
from robench.base.text import reason

if TYPE_CHECKING:
    from torch import nn

SECONDS_BETWEEN = 5.0
"""A checkpoint costs time; less work than this is not worth keeping."""
SECONDS_WITHIN = 30.0
"""The same within an epoch."""


class Moment(NamedTuple):
    """What is done of a training: whole epochs, and steps of the next one."""

    epoch: int = 0
    step: int = 0

    def __str__(self) -> str:
        within = f", step {self.step + 1}" if self.step else ""
        return f"epoch {self.epoch + 1}{within}"


class Checkpoint:
    """One file in `folder`, replaced at most every SECONDS_BETWEEN; no folder, no checkpoint."""

    def __init__(self, folder: Path | None, name: str) -> None:
        self.path = folder / f"{name}.checkpoint" if folder else None
        self.saved = time.monotonic()
        self.moment = Moment()
        """What the file holds."""
        self._drawn: tuple[torch.Tensor, dict[str, Any]] | None = None

    def load(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Moment:
        """Restore a saved state; returns what is done.

        A file that is damaged is thrown away, with one line.
        """
        if self.path is None or not self.path.exists():
            return Moment()
        untrained = {name: value.clone() for name, value in model.state_dict().items()}
        try:
            state = torch.load(self.path, weights_only=True)
            moment = Moment(int(state["epochs"]), int(state.get("step", 0)))
            optimizer.load_state_dict(state["optimizer"])
            model.load_state_dict(state["model"])
        except Exception as error:  # a torn file raises errors of every kind
            text = f"robench: a damaged checkpoint is thrown away ({reason(error)[:100]})"
            print(f"{text}: the training starts again", file=sys.stderr)  # noqa: T201
            model.load_state_dict(untrained)
            self.path.unlink()
            return Moment()
        self.moment, self._drawn = moment, state.get("drawn")
        return moment

    def draw_on(self, rng: torch.Generator) -> None:
        """Put the generators back to where they were at the loaded moment within an epoch."""
        if self._drawn is not None:
            own, others = self._drawn
            rng.set_state(own)
            set_global_states(others)
            self._drawn = None

    def save(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        moment: Moment,
        rng: torch.Generator | None = None,
    ) -> None:
        """Keep the state at a moment unless the last one is recent; `rng` is what an epoch draws
        from, within it."""
        seconds = SECONDS_BETWEEN if rng is None else SECONDS_WITHIN
        if self.path is None or time.monotonic() - self.saved < seconds:
            return
        state = {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "epochs": moment.epoch,
            "step": moment.step,
            "drawn": None if rng is None else (rng.get_state(), global_states()),
        }
        # Torch's own writer says of a full disk what nobody understands.
        written = BytesIO()
        torch.save(state, written)
        write_whole(self.path, written.getvalue())
        self.saved, self.moment = time.monotonic(), moment


def remove_checkpoints(folder: Path) -> None:
    """Delete the checkpoints of a training that is done."""
    for path in folder.glob("*.checkpoint"):
        path.unlink()
