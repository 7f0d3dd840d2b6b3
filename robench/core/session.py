"""A file opened in a runtime: what it takes, what it answers, and what answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WHOLE = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}
"""The whole numbers that a quantised port holds, by its dtype."""


@dataclass(frozen=True)
class Port:
    """An input or output of a file's network."""

    name: str
    shape: tuple[int | None, ...]
    """With the batch as its first axis; None for what may have any length."""
    dtype: str
    """As numpy names it: float32, uint8, int8."""
    scale: float | None = None
    """Of a quantised port: the real number is (whole number - zero_point) * scale. None: the port's
    numbers are the real ones."""
    zero_point: int | None = None

    def stored(self, real: NDArray[Any]) -> NDArray[Any]:
        """Real numbers as this port takes them: rounded half to even and clamped where whole."""
        import numpy as np

        if self.dtype not in WHOLE:
            return real.astype(self.dtype)
        low, high = WHOLE[self.dtype]
        whole = np.rint(real / np.float32(self.scale or 1.0)) + (self.zero_point or 0)
        codes: NDArray[Any] = np.clip(whole, low, high).astype(self.dtype)
        return codes

    def real(self, stored: NDArray[Any]) -> NDArray[np.float32]:
        """The real numbers of what this port gives: float32."""
        import numpy as np

        wide = stored.astype(np.float32)
        if self.scale is None:
            return wide
        return (wide - np.float32(self.zero_point or 0)) * np.float32(self.scale)


class Session(ABC):
    """A file opened in a runtime.

    It may not change what it answers from one call to the next, and shares nothing with the
    caller's arrays.
    """

    @property
    @abstractmethod
    def inputs(self) -> tuple[Port, ...]:
        """What must be fed; a file that is judged has one."""

    @property
    @abstractmethod
    def outputs(self) -> tuple[Port, ...]:
        """What it answers."""

    @abstractmethod
    def run(self, batch: NDArray[np.float32], output: str) -> NDArray[np.float32]:
        """The named output, float32 (N, ...), for one batch of the input, float32 (N, ...).

        Both in real numbers: a quantised port's are converted here (`Port.stored`, `Port.real`).
        N is the input port's where that is fixed.
        """

    @abstractmethod
    def describe(self) -> Mapping[str, str]:
        """What answers: `version` of the runtime, and `provider`, what computes within it.

        robench adds the runtime's name and the instruction set.
        """

    def variants(self) -> Mapping[str, Session]:
        """The same file run in other ways of this runtime, by name; default: none.

        For instance with optimisations off, or with several threads: how far they differ is the
        runtime's own spread.
        """
        return {}
