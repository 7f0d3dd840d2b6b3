"""ONNX Runtime on a CPU: the usual runtime of ONNX files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import robench

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
}
"""Of what an image may be, in ONNX Runtime's words and in numpy's."""
PROVIDER = "CPUExecutionProvider"
QUIET = 4
"""Fatal errors alone are written to the terminal; the others are raised."""


@dataclass(frozen=True, kw_only=True)
class OnnxRuntime(robench.Runtime):
    """ONNX Runtime on the CPU, all its optimisations on."""

    suffixes: ClassVar[tuple[str, ...]] = (".onnx",)
    packages: ClassVar[tuple[str, ...]] = ("onnxruntime",)
    requires: ClassVar[str] = "pip install 'robench[onnx]'"

    def load(self, path: Path) -> robench.Session:
        """Open an ONNX file; no library of operators is ever loaded."""
        import onnxruntime
        import torch

        from robench.graph import whole

        return OnnxSession(onnxruntime, whole(path), torch.get_num_threads(), optimised=True)


class OnnxSession(robench.Session):
    """An ONNX file in ONNX Runtime."""

    def __init__(self, package: Any, content: bytes, threads: int, *, optimised: bool) -> None:
        self._package, self._content = package, content
        self._threads, self._optimised = threads, optimised
        options = package.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = QUIET
        if not optimised:
            options.graph_optimization_level = package.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._session = package.InferenceSession(content, options, [PROVIDER])

    @property
    def inputs(self) -> tuple[robench.Port, ...]:
        """See Session."""
        return tuple(_port(one) for one in self._session.get_inputs())

    @property
    def outputs(self) -> tuple[robench.Port, ...]:
        """See Session."""
        return tuple(_port(one) for one in self._session.get_outputs())

    def run(self, batch: NDArray[np.float32], output: str) -> NDArray[np.float32]:
        """See Session."""
        (source,) = self.inputs
        (answer,) = self._session.run([output], {source.name: source.stored(batch)})
        named = {port.name: port for port in self.outputs}
        return named[output].real(answer)

    def describe(self) -> Mapping[str, str]:
        """See Session."""
        return {"version": self._package.__version__, "provider": PROVIDER}

    def variants(self) -> Mapping[str, robench.Session]:
        """Optimisations off, and another number of threads."""
        other = 1 if self._threads > 1 else 2
        return {
            "optimisations off": self._again(self._threads, optimised=False),
            f"{other} thread{'s' if other > 1 else ''}": self._again(other, optimised=True),
        }

    def _again(self, threads: int, *, optimised: bool) -> OnnxSession:
        return OnnxSession(self._package, self._content, threads, optimised=optimised)


def _port(node: Any) -> robench.Port:
    shape = tuple(size if isinstance(size, int) else None for size in node.shape)
    return robench.Port(node.name, shape, DTYPES.get(node.type, node.type))
