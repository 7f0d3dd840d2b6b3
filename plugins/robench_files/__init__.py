"""Files that ship: a foreign toolchain's network as the model, and the runtimes that answer."""

from __future__ import annotations

from robench import Register, hookimpl
from robench_files.file import File
from robench_files.litert import LiteRT
from robench_files.onnxruntime import OnnxRuntime
from robench_files.openvino import OpenVINO
from robench_files.openvino_int8 import OpenVINOInt8
from robench_files.ort_int8 import OrtInt8
from robench_files.pt2e_int8 import PT2EInt8
from robench_files.runtimes import Runtimes
from robench_files.torch_export import TorchExport


@hookimpl
def robench_register(register: Register) -> None:
    """Register the model, the runtimes, the toolchains as compressors, and a metric of runtimes."""
    register("model", "file", File)
    register("runtime", "onnxruntime", OnnxRuntime)
    register("runtime", "openvino", OpenVINO)
    register("runtime", "litert", LiteRT)
    register("runtime", "torch", TorchExport)
    register("compressor", "ort_int8", OrtInt8)
    register("compressor", "openvino_int8", OpenVINOInt8)
    register("compressor", "pt2e_int8", PT2EInt8)
    register("metric", "runtimes", Runtimes)
