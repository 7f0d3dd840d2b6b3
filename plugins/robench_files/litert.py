"""LiteRT (TFLite) on a CPU: the runtime of phones and small boards, and of their files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import robench

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

USUAL, REFERENCE = "AUTO", "BUILTIN_REF"
"""LiteRT's names of its kernels: XNNPACK's where it has them, and the ones that define LiteRT."""


@dataclass(frozen=True, kw_only=True)
class LiteRT(robench.Runtime):
    """LiteRT on the CPU, with its XNNPACK delegate."""

    suffixes: ClassVar[tuple[str, ...]] = (".tflite",)
    packages: ClassVar[tuple[str, ...]] = ("ai_edge_litert",)
    requires: ClassVar[str] = "pip install 'robench[litert]'"

    def load(self, path: Path) -> robench.Session:
        """Open a LiteRT file; no delegate but LiteRT's own is ever loaded."""
        import torch
        from ai_edge_litert import __version__, interpreter

        content = path.read_bytes()
        return LiteRTSession(interpreter, __version__, content, torch.get_num_threads(), USUAL)


class LiteRTSession(robench.Session):
    """A LiteRT file in LiteRT."""

    def __init__(
        self, package: Any, version: str, content: bytes, threads: int, kernels: str
    ) -> None:
        self._package, self._version, self._content = package, version, content
        self._threads, self._kernels = threads, kernels
        self._interpreter = package.Interpreter(
            model_content=content,
            num_threads=threads,
            experimental_op_resolver_type=package.OpResolverType[kernels],
        )
        self._interpreter.allocate_tensors()

    @property
    def inputs(self) -> tuple[robench.Port, ...]:
        """See Session; one image at a time is no bound, as `run` takes them one by one."""
        ports = (_port(one) for one in self._interpreter.get_input_details())
        return tuple(
            replace(port, shape=(None, *port.shape[1:])) if port.shape[:1] == (1,) else port
            for port in ports
        )

    @property
    def outputs(self) -> tuple[robench.Port, ...]:
        """See Session."""
        return tuple(_port(one) for one in self._interpreter.get_output_details())

    def run(self, batch: NDArray[np.float32], output: str) -> NDArray[np.float32]:
        """See Session."""
        import numpy as np

        (source,) = self._interpreter.get_input_details()
        named = {one["name"]: one for one in self._interpreter.get_output_details()}
        target, fed = named[output], _port(source).stored(batch)
        if _port(source).shape[0] is None and len(batch) != source["shape"][0]:
            self._interpreter.resize_tensor_input(source["index"], fed.shape)
            self._interpreter.allocate_tensors()
            (source,) = self._interpreter.get_input_details()
        answers = []
        for part in np.split(fed, len(fed) // source["shape"][0]):
            self._interpreter.set_tensor(source["index"], part)
            self._interpreter.invoke()
            answers.append(self._interpreter.get_tensor(target["index"]))
        return _port(target).real(np.concatenate(answers))

    def describe(self) -> Mapping[str, str]:
        """See Session."""
        kernels = "reference kernels" if self._kernels == REFERENCE else "XNNPACK"
        return {"version": self._version, "provider": kernels}

    def variants(self) -> Mapping[str, robench.Session]:
        """The kernels that define LiteRT, and another number of threads."""
        other = 1 if self._threads > 1 else 2
        return {
            "reference kernels": self._again(self._threads, REFERENCE),
            f"{other} threads": self._again(other, self._kernels),
        }

    def _again(self, threads: int, kernels: str) -> LiteRTSession:
        return LiteRTSession(self._package, self._version, self._content, threads, kernels)


def _port(details: Any) -> robench.Port:
    free = details["shape_signature"]
    shape = tuple(None if size < 0 else int(size) for size in free)
    scale, zero_point = details["quantization"]
    name, dtype = details["name"], details["dtype"].__name__
    if not scale:
        return robench.Port(name, shape, dtype)
    return robench.Port(name, shape, dtype, float(scale), int(zero_point))
