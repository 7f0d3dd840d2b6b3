"""ONNX Runtime and OpenVINO on an exported program: classifiers like the engine, not bit-exact."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from robench.base.errors import UserError
from robench.integer.onnx import export_onnx
from robench.integer.program import Program

Infer = Callable[[Any], Any]
"""From float32 images (N, C, H, W) in 8-bit units to logits (N, classes), both numpy."""


class OnnxClassifier:
    """A program's ONNX file in a runtime, with the interface of a deployed model."""

    randomised = False

    def __init__(self, infer: Infer, content: bytes, batch: int = 400) -> None:
        self.infer, self.content, self.batch = infer, content, batch

    def predict(self, images: Tensor) -> Tensor:
        """Labels of float32 images in [0,1], each pixel rounded to the nearest of 8 bits first."""
        return self.labels((images.clamp(0, 1) * 255).round())

    def labels(self, pixels: Tensor) -> Tensor:
        """Labels, int64 (N,), of images in 8-bit units."""
        parts = [self.infer(part.float().numpy()) for part in pixels.split(self.batch)]
        return torch.cat([torch.from_numpy(part) for part in parts]).argmax(1)

    def nbytes(self) -> int:
        """Bytes of the ONNX file."""
        return len(self.content)

    def save(self, folder: Path) -> None:
        """Write `program.onnx` into a folder."""
        (folder / "program.onnx").write_bytes(self.content)


def classifier(program: Program, runtime: str, threads: int) -> OnnxClassifier:
    """A program in `onnxruntime` or `openvino`.

    Raises: UserError for another runtime or one that is not installed.
    """
    if runtime not in RUNTIMES:
        raise UserError(f"expected a runtime among {', '.join(RUNTIMES)}, got {runtime!r}")
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside the runtimes
        path = Path(folder) / "program.onnx"
        export_onnx(program, path)
        try:
            infer = RUNTIMES[runtime](path, threads)
        except ImportError as error:
            raise UserError(
                f"expected the package {runtime}, got none; pip install {runtime}"
            ) from error
        return OnnxClassifier(infer, path.read_bytes())


def agreements(program: Program, pixels: Tensor, labels: Tensor, threads: int) -> dict[str, float]:
    """Share of images on which each installed runtime gives the program's labels, in [0,1].

    pixels: uint8 (N, C, H, W). labels: the program's, int64 (N,).
    """
    shares = {}
    for runtime in RUNTIMES:
        try:
            found = classifier(program, runtime, threads).labels(pixels)
        except UserError:
            continue
        shares[runtime] = float((found == labels).double().mean())
    return shares


def _onnxruntime(path: Path, threads: int) -> Infer:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    return lambda images: session.run(None, {"images": images})[0]


def _openvino(path: Path, threads: int) -> Infer:
    import openvino

    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    compiled = openvino.Core().compile_model(path, "CPU", settings)
    return lambda images: compiled(images)[0].copy()


RUNTIMES: dict[str, Callable[[Path, int], Infer]] = {
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
}
