"""A file in its runtime as the deployed model: the only judge of success."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from robench.base.errors import UserError
from robench.core.batches import ASKED, at_once
from robench.core.record import FileInfo
from robench.core.session import Port, Session
from robench.shipped.contract import Contract, fits

BATCH = 256
"""Images of one call, where the file leaves that open."""
ALONE = "image by image"
"""The way of running a file that asks about each image alone, which takes several times as long."""
SAVED = "network"
"""Name under which a file is saved, without its ending."""


class FileDeployed:
    """A file's network in its runtime: what ships."""

    randomised = False

    def __init__(
        self, content: bytes, session: Session, contract: Contract, output: Port, facts: FileInfo
    ) -> None:
        """`content` are the bytes of the file that `session` opened."""
        self.content, self.session = content, session
        self.contract, self.output = contract, output
        self.facts = facts
        """What the file is, and what runs it."""

    def answers(self, images: Tensor) -> Tensor:
        """What the file gives, float32 (N, outputs), for float32 images in [0,1]."""
        if not isinstance(images, torch.Tensor):
            raise UserError(
                f"expected a torch tensor of images, got {type(images).__name__}; "
                "use torch.from_numpy for a numpy array"
            )
        if len(images) == 0:
            return self.answers(images.new_zeros(1, *images.shape[1:]))[:0]
        return torch.cat([self._answer(part) for part in images.cpu().split(self._asked(images))])

    def logits(self, images: Tensor) -> Tensor:
        """Logits, float32 (N, classes), of float32 images in [0,1]."""
        return self.contract.logits(self.answers(images))

    def read_as(self, contract: Contract) -> FileDeployed:
        """The same file under another contract."""
        return FileDeployed(self.content, self.session, contract, self.output, self.facts)

    def fits(self, contract: Contract, shape: tuple[int, int, int]) -> bool:
        """Whether its input takes images (C, H, W) under a contract."""
        return fits(contract, self.session.inputs[0], shape)

    def predict(self, images: Tensor) -> Tensor:
        """Labels of float32 images in [0,1]: int64, shape (N,); of equal logits the first."""
        logits = self.logits(images).numpy()
        # Not torch's argmax, which may give any of several equal logits.
        return torch.from_numpy(logits.argmax(1).astype(np.int64))

    def nbytes(self) -> int:
        """Bytes of the file."""
        return len(self.content)

    def save(self, folder: Path) -> None:
        """Write the file into a folder, as it is."""
        (folder / f"{SAVED}.{self.facts.format}").write_bytes(self.content)

    @cached_property
    def batch(self) -> int:
        """Images of one call."""
        return self.session.inputs[0].shape[0] or BATCH

    def _asked(self, images: Tensor) -> int:
        """Images of one call: as many as the file takes, where it does not leave that open."""
        fixed = self.session.inputs[0].shape[0]
        return fixed or at_once(images.shape[1:], ASKED, self.batch)

    def variants(self) -> Mapping[str, FileDeployed]:
        """The same file run otherwise, by name: its own spread."""
        found = {
            name: FileDeployed(self.content, session, self.contract, self.output, self.facts)
            for name, session in self.session.variants().items()
        }
        if self.batch > 1 and self.session.inputs[0].shape[0] is None:
            alone = self.read_as(self.contract)
            alone.batch = 1
            found[ALONE] = alone
        return found

    def _answer(self, images: Tensor) -> Tensor:
        fixed, count = self.session.inputs[0].shape[0], len(images)
        if fixed and count < fixed:
            images = torch.cat([images, images[-1:].expand(fixed - count, *images.shape[1:])])
        fed = np.ascontiguousarray(self.contract.fed(images).float().numpy())
        answers = np.asarray(self.session.run(fed, self.output.name), dtype=np.float32)
        if answers.shape == (len(images),):
            raise UserError(
                f"expected logits (N, classes) of the file, got one number an image of output "
                f"{self.output.name!r}, as labels are; export it without its last argmax"
            )
        if answers.shape[:1] != (len(images),) or answers.ndim < 2:
            raise UserError(
                f"expected {len(images)} answers of the file, got the shape {answers.shape}; "
                "export it with the batch as the first axis of its output"
            )
        # A copy: the session's own memory may be written by its next call.
        return torch.from_numpy(answers[:count].copy()).flatten(1)
