"""A runtime of one's own: small perceptrons, interpreted with numpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import robench

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Perceptron(robench.Runtime):
    """Networks of linear layers and ReLUs from .mlp files (npz), interpreted with numpy."""

    suffixes: ClassVar[tuple[str, ...]] = (".mlp",)
    requires: ClassVar[str] = "pip install numpy"

    def load(self, path: Path) -> robench.Session:
        """Read the arrays: `shape` of one image, then `weight0`, `bias0`, `weight1`, ..."""
        import numpy as np

        with np.load(path, allow_pickle=False) as arrays:
            return PerceptronSession({name: arrays[name] for name in arrays.files})


class PerceptronSession(robench.Session):
    """A perceptron that numpy computes."""

    def __init__(self, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        layers = range(sum(name.startswith("weight") for name in arrays))
        self._layers = [(arrays[f"weight{i}"], arrays[f"bias{i}"]) for i in layers]
        self._shape = tuple(int(size) for size in arrays["shape"])

    @property
    def inputs(self) -> tuple[robench.Port, ...]:
        """The images; the batch is free."""
        return (robench.Port("images", (None, *self._shape), "float32"),)

    @property
    def outputs(self) -> tuple[robench.Port, ...]:
        """The logits."""
        return (robench.Port("logits", (None, len(self._layers[-1][1])), "float32"),)

    def run(self, batch: NDArray[np.float32], output: str) -> NDArray[np.float32]:
        """Logits, float32 (N, classes), of float32 images (N, C, H, W)."""
        values = batch.reshape(len(batch), -1)
        for weight, bias in self._layers[:-1]:
            values = (values @ weight + bias).clip(min=0)
        weight, bias = self._layers[-1]
        return values @ weight + bias

    def describe(self) -> Mapping[str, str]:
        """What answers."""
        import numpy as np

        return {"version": np.__version__, "provider": "numpy"}
