"""OpenVINO on a CPU: a second runtime of ONNX files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import robench

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DTYPES = {"f32": "float32", "f16": "float16", "f64": "float64", "u8": "uint8", "i8": "int8"}
"""Of what an image may be, in OpenVINO's words and in numpy's."""
DEVICE = "CPU"


@dataclass(frozen=True, kw_only=True)
class OpenVINO(robench.Runtime):
    """OpenVINO on the CPU, its float parts in float32."""

    opens: ClassVar[tuple[str, ...]] = (".onnx",)
    packages: ClassVar[tuple[str, ...]] = ("openvino",)
    requires: ClassVar[str] = "pip install 'robench[openvino]'"

    def load(self, path: Path) -> robench.Session:
        """Open an ONNX file; no extension is ever loaded."""
        import openvino
        import torch

        from robench.graph import whole

        return OpenVINOSession(openvino, whole(path), torch.get_num_threads())


class OpenVINOSession(robench.Session):
    """A file in OpenVINO."""

    def __init__(self, package: Any, content: bytes, threads: int) -> None:
        self._package, self._content, self._threads = package, content, threads
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
        }
        core = package.Core()
        self._compiled = core.compile_model(core.read_model(content), DEVICE, settings)

    @property
    def inputs(self) -> tuple[robench.Port, ...]:
        """See Session."""
        return tuple(_port(one) for one in self._compiled.inputs)

    @property
    def outputs(self) -> tuple[robench.Port, ...]:
        """See Session."""
        return tuple(_port(one) for one in self._compiled.outputs)

    def run(self, batch: NDArray[np.float32], output: str) -> NDArray[np.float32]:
        """See Session."""
        (source,), named = self.inputs, {port.name: port for port in self.outputs}
        answers = self._compiled(source.stored(batch))
        return named[output].real(answers[list(named).index(output)])

    def describe(self) -> Mapping[str, str]:
        """See Session."""
        return {"version": self._package.__version__, "provider": DEVICE}

    def variants(self) -> Mapping[str, robench.Session]:
        """Another number of threads."""
        other = 1 if self._threads > 1 else 2
        name = f"{other} thread{'s' if other > 1 else ''}"
        return {name: OpenVINOSession(self._package, self._content, other)}


def _port(node: Any) -> robench.Port:
    shape = tuple(size.get_length() if size.is_static else None for size in node.partial_shape)
    kind = node.element_type.get_type_name()
    return robench.Port(node.any_name, shape, DTYPES.get(kind, kind))
