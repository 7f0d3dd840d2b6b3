"""The smoothed classifier as a deployed model, and its differentiable twin."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from robench.integer.codegen import generate
from robench.integer.deployed import IntegerDeployed
from robench.integer.engine import chosen_isa, compile_library
from robench.integer.program import Program
from robench.smoothing.compiled import CompiledVotes, vote_source
from robench.smoothing.float_votes import FloatVotes
from robench.smoothing.noise import Noise
from robench.smoothing.prediction import predict_early
from robench.smoothing.votes import IntegerVotes, VoteSource, require_fixed_function

if TYPE_CHECKING:
    from robench.core.system import Deployed


@dataclass(frozen=True)
class SmoothedDeployed:
    """Majority of the base classifier's votes under noise; abstains when the top two are close.

    Each call of `predict` draws fresh noise, seeded by torch's global generator.
    """

    base: Deployed
    noise: Noise
    classes: int
    draws: int
    """Votes behind one prediction, at most; a clear majority needs few."""
    alpha: float
    """Probability that a prediction which is given is not the smoothed classifier's."""
    randomised: bool = True

    def predict(self, images: Tensor) -> Tensor:
        """Labels or ABSTAIN of float32 images in [0,1], rounded to the nearest of 8 bits first."""
        seed = int(torch.randint(2**62, ()))
        source = self.votes(to_pixels(images), seed)
        found = predict_early(source, np.arange(len(images)), self.draws, self.alpha)
        return torch.from_numpy(found)

    def votes(
        self, pixels: NDArray[np.uint8], seed: int, streams: NDArray[np.int64] | None = None
    ) -> VoteSource:
        """Votes on uint8 images (N, C, H, W): compiled where the base has an engine."""
        shared: dict[str, Any] = {
            "images": pixels,
            "classes": self.classes,
            "noise": self.noise,
            "seed": seed,
            "streams": streams,
        }
        base = self.base
        integer = isinstance(base, IntegerDeployed)
        if self.noise.law == "gaussian":
            return FloatVotes(labels=self._labels_of(_rounded if integer else _unit), **shared)
        if isinstance(base, IntegerDeployed) and base.engine is not None:
            shared |= {"threads": torch.get_num_threads(), "variant": 0}
            return CompiledVotes(library=_votes_library(base.program), **shared)
        return IntegerVotes(labels=self._labels_of(_same if integer else _scaled), **shared)

    @property
    def exact(self) -> bool:
        """Whether integers alone decide the votes."""
        return self.noise.law != "gaussian" and isinstance(self.base, IntegerDeployed)

    def nbytes(self) -> int:
        """Bytes of the base classifier."""
        return self.base.nbytes()

    def save(self, folder: Path) -> None:
        """Write the base classifier into a folder."""
        self.base.save(folder)

    def check_fixed(self, pixels: NDArray[np.uint8]) -> None:
        """Refuse a base whose label depends on the batch (UserError): no certificate holds then."""
        if isinstance(self.base, IntegerDeployed):
            require_fixed_function(self._labels_of(_same), pixels.astype(np.int16))

    def _labels_of(self, convert: Callable[[Any], Tensor]) -> Callable[[Any], NDArray[Any]]:
        base = self.base
        classify = base.labels if isinstance(base, IntegerDeployed) else base.predict
        return lambda inputs: np.asarray(classify(convert(inputs)))


@lru_cache(maxsize=8)
def _votes_library(program: Program) -> ctypes.CDLL:
    """The vote loop and the network in one shared library, for this machine."""
    source = vote_source(generate(program, isas=[chosen_isa()]))
    return ctypes.CDLL(str(compile_library(source)))


AGREEING = 3
"""The twin's softmax is the law of the label given that so many draws agree on it. That is nearer
to a majority than one draw's law: cross-entropy then raises the class that may win, where with one
draw it lowers the label's probability in favour of all the others."""


class SmoothedTwin(nn.Module):
    """The mean class probability under Gaussian noise as logits, with gradients."""

    def __init__(self, twin: nn.Module, sigma: float, samples: int) -> None:
        super().__init__()
        self.twin = twin
        self.sigma = sigma
        self.samples = samples

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes), AGREEING log-probabilities; noise of torch's global generator."""
        wide = images.repeat(self.samples, 1, 1, 1)
        noisy = wide + self.sigma * torch.randn_like(wide)
        logs = self.twin(noisy).log_softmax(1)
        logs = logs.view(self.samples, len(images), logs.shape[1])
        return AGREEING * (torch.logsumexp(logs, 0) - float(np.log(self.samples)))


def to_pixels(images: Tensor) -> NDArray[np.uint8]:
    """8-bit images of float32 ones in [0,1]."""
    pixels: NDArray[np.uint8] = (images.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    return pixels


def _same(inputs: NDArray[np.int16]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(inputs))


def _scaled(inputs: NDArray[np.int16]) -> Tensor:
    """8-bit units to the [0,1] units of a float network."""
    return torch.from_numpy(inputs.astype(np.float32) / np.float32(255))


def _unit(inputs: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(inputs)


def _rounded(inputs: NDArray[np.float32]) -> Tensor:
    """[0,1] units to the 8-bit units of an integer network, not saturated."""
    return torch.from_numpy(np.rint(inputs * 255).astype(np.int16))
