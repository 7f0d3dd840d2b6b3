"""A file in its runtime as the deployed model: the only judge of success."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from robench.base.errors import UserError
from robench.core.session import Port, Session
from robench.shipped.contract import Contract

BATCH = 256
"""Images of one call, where the file leaves that open."""
KEPT = "network"
"""Name of the file beside a record, without its ending."""


@dataclass(frozen=True)
class Facts:
    """What answers: the file, and what runs it."""

    sha256: str
    nbytes: int
    format: str
    """The file's ending, without the dot."""
    runtime: str
    version: str
    provider: str
    instructions: str
    """The instruction set of this machine, as far as it decides what kernels run."""


class FileDeployed:
    """A file's network in its runtime: what ships."""

    randomised = False

    def __init__(
        self, content: bytes, suffix: str, session: Session, contract: Contract, output: Port
    ) -> None:
        """`content` are the bytes of the file that `session` opened."""
        self.content, self.suffix = content, suffix
        self.session, self.contract, self.output = session, contract, output
        self.facts = Facts(hashlib.sha256(content).hexdigest(), len(content), suffix[1:], *[""] * 4)

    def described(self, runtime: str, instructions: str) -> FileDeployed:
        """This one, with what runs it among its facts."""
        about = self.session.describe()
        self.facts = replace(
            self.facts,
            runtime=runtime,
            version=str(about.get("version", "")),
            provider=str(about.get("provider", "")),
            instructions=instructions,
        )
        return self

    def logits(self, images: Tensor) -> Tensor:
        """Logits, float32 (N, classes), of float32 images in [0,1]."""
        if len(images) == 0:
            return self.logits(images.new_zeros(1, *images.shape[1:]))[:0]
        return torch.cat([self._answer(part) for part in images.cpu().split(self.batch)])

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
        (folder / f"{KEPT}{self.suffix}").write_bytes(self.content)

    @cached_property
    def batch(self) -> int:
        """Images of one call."""
        return self.session.inputs[0].shape[0] or BATCH

    @cached_property
    def variants(self) -> Mapping[str, FileDeployed]:
        """The same file run in other ways of its runtime, by name: its own spread."""
        return {
            name: FileDeployed(self.content, self.suffix, session, self.contract, self.output)
            for name, session in self.session.variants().items()
        }

    def _answer(self, images: Tensor) -> Tensor:
        fixed, count = self.session.inputs[0].shape[0], len(images)
        if fixed and count < fixed:
            images = torch.cat([images, images[-1:].expand(fixed - count, *images.shape[1:])])
        fed = np.ascontiguousarray(self.contract.fed(images).float().numpy())
        answers = np.asarray(self.session.run(fed, self.output.name), dtype=np.float32)
        if answers.shape[:1] != (len(images),) or answers.ndim < 2:
            raise UserError(
                f"expected {len(images)} answers of the file, got the shape {answers.shape}; "
                "export it with the batch as the first axis of its output"
            )
        # A copy: the session's own memory may be written by its next call.
        return self.contract.logits(torch.from_numpy(answers[:count].copy()))
