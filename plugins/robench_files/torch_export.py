"""torch itself, call by call: the runtime of torch exports, float or quantised by PT2E."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import robench

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from robench.graph import Program


@dataclass(frozen=True, kw_only=True)
class TorchExport(robench.Runtime):
    """The reference program of a torch export (.pt2), eager, on the CPU.

    The file's calls are made one after another, each by torch's own operator; nothing of the file
    is unpickled or evaluated, as `torch.export.load` would.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".pt2",)
    requires: ClassVar[str] = "pip install torch"

    def load(self, path: Path) -> robench.Session:
        """Read a torch export, and make its calls once on tensors without numbers."""
        import torch

        from robench.graph import read_program

        program = read_program(path)
        program.check()
        return TorchSession(program, torch.get_num_threads())


class TorchSession(robench.Session):
    """The calls of a torch export."""

    def __init__(self, program: Program, threads: int) -> None:
        self._program, self._threads = program, threads

    @property
    def inputs(self) -> tuple[robench.Port, ...]:
        """See Session."""
        return tuple(robench.Port(one.name, one.shape, one.dtype) for one in self._program.inputs)

    @property
    def outputs(self) -> tuple[robench.Port, ...]:
        """See Session."""
        return tuple(robench.Port(one.name, one.shape, one.dtype) for one in self._program.outputs)

    def run(self, batch: NDArray[np.float32], output: str) -> NDArray[np.float32]:
        """See Session."""
        import torch

        (source,) = self.inputs
        usual = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        try:
            answers = self._program.run(torch.from_numpy(source.stored(batch)))[output]
        finally:
            torch.set_num_threads(usual)
        answer: NDArray[np.float32] = answers.float().numpy()
        return answer

    def describe(self) -> Mapping[str, str]:
        """See Session."""
        import torch

        return {"version": torch.__version__, "provider": "eager"}

    def variants(self) -> Mapping[str, robench.Session]:
        """Another number of threads."""
        other = 1 if self._threads > 1 else 2
        return {f"{other} threads": TorchSession(self._program, other)}
