"""Files that ship: a foreign toolchain's network as the model, and the runtimes that answer."""

from __future__ import annotations

from robench import Register, hookimpl
from robench_files.file import File
from robench_files.litert import LiteRT
from robench_files.onnxruntime import OnnxRuntime
from robench_files.openvino import OpenVINO
from robench_files.torch_export import TorchExport


@hookimpl
def robench_register(register: Register) -> None:
    """Register the model and the runtimes."""
    register("model", "file", File)
    register("runtime", "onnxruntime", OnnxRuntime)
    register("runtime", "openvino", OpenVINO)
    register("runtime", "litert", LiteRT)
    register("runtime", "torch", TorchExport)
