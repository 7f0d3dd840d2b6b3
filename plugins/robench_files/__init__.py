"""Files that ship: a foreign toolchain's network as the model, and the runtimes that answer."""

from __future__ import annotations

from robench import Register, hookimpl


@hookimpl
def robench_register(register: Register) -> None:
    """Register the model, the runtimes, the toolchains as compressors, and a metric of runtimes."""
    from robench_files.file import File
    from robench_files.onnxruntime import OnnxRuntime
    from robench_files.openvino_int8 import OpenVINOInt8
    from robench_files.ort_int8 import OrtInt8
    from robench_files.pt2e_int8 import PT2EInt8
    from robench_files.runtimes import Runtimes

    register("model", "file", File)
    register("runtime", "onnxruntime", OnnxRuntime)
    register("compressor", "ort_int8", OrtInt8)
    register("compressor", "openvino_int8", OpenVINOInt8)
    register("compressor", "pt2e_int8", PT2EInt8)
    register("metric", "runtimes", Runtimes)
