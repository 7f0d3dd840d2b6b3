"""The integer program: an int8 network as a file with one meaning, and the engine that runs it.

    twin = prepare_qat(model, shape)             # fake quantization; train it like any module, or
    twin = quantize(model, images, "mse")        # post-training quantization of a trained model
    program = to_program(twin.eval())            # the deployed network: integers only labels,
    logits = run_reference(program, images)      # its definition; images uint8 or int16, 8-bit
    units labels, logits = Engine(program).run(images, threads=2)   # the same bits, near the
    machine's peak

`save_program` and `load_program` keep a program as one checksummed file, `export_c` writes it as
self-contained C99, `export_onnx` as QDQ ONNX (not bit-exact). The library knows nothing of plugins.
"""

from robench.integer.build import to_program
from robench.integer.calibrate import Method, calibrate, quantize
from robench.integer.deployed import IntegerDeployed, integer_system
from robench.integer.differentiable import ProgramTwin
from robench.integer.engine import NO_COMPILER, Engine
from robench.integer.export import export_c
from robench.integer.file import load_program, save_program
from robench.integer.onnx import export_onnx
from robench.integer.program import Program
from robench.integer.reference import run_reference
from robench.integer.runtimes import classifier
from robench.integer.trace import prepare_qat
from robench.integer.twin import Twin

__all__ = [
    "NO_COMPILER",
    "Engine",
    "IntegerDeployed",
    "Method",
    "Program",
    "ProgramTwin",
    "Twin",
    "calibrate",
    "classifier",
    "export_c",
    "export_onnx",
    "integer_system",
    "load_program",
    "prepare_qat",
    "quantize",
    "run_reference",
    "save_program",
    "to_program",
]
