"""LiteRT files: the table computes what LiteRT's kernels do, and nothing broken gets through."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from robench.base.errors import UserError
from robench.graph import Graph, GraphTwin, UnknownOperator, UnreadableFile, output_quantisers, read
from robench_data.digits import Digits
from tests.graph.litert_models import Op, T, model, write

interpreter = pytest.importorskip("ai_edge_litert.interpreter")
FILES = Path(__file__).parents[1] / "fixtures/files"
INT8 = FILES / "digits.int8.tflite"
RNG = np.random.default_rng(0)


def answers(path: Path, images: np.ndarray, reference: bool = False) -> np.ndarray:
    """LiteRT's real numbers for a batch, one image at a time."""
    kernels = interpreter.OpResolverType
    made = interpreter.Interpreter(
        str(path),
        num_threads=1,
        experimental_op_resolver_type=kernels.BUILTIN_REF if reference else kernels.AUTO,
    )
    made.allocate_tensors()
    (source,), (target, *_) = made.get_input_details(), made.get_output_details()
    found = []
    for image in images:
        fed = image[None]
        scale, zero = source["quantization"]
        if scale:
            low, high = np.iinfo(source["dtype"]).min, np.iinfo(source["dtype"]).max
            fed = np.clip(np.rint(fed / np.float32(scale)) + zero, low, high)
        made.set_tensor(source["index"], fed.astype(source["dtype"]))
        made.invoke()
        out = made.get_tensor(target["index"])[0].astype(np.float32)
        scale, zero = target["quantization"]
        found.append((out - zero) * np.float32(scale) if scale else out)
    return np.stack(found)


def twin(path: Path, images: np.ndarray) -> np.ndarray:
    """What the table computes."""
    out: np.ndarray = GraphTwin(read(path, "litert"))(torch.from_numpy(images)).detach().numpy()
    return out


def digits() -> np.ndarray:
    """The test images, channels last."""
    images = Digits().load(Path()).test.float_images()
    return np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy())


def test_an_int8_file_and_its_twin_differ_by_a_step_at_most() -> None:
    images = digits()
    file, ours = answers(INT8, images), twin(INT8, images)
    step = read(INT8, "litert").output.scale
    assert step is not None
    assert np.array_equal(file.argmax(1), ours.argmax(1))
    assert np.abs(file - ours).max() <= step * 1.001
    assert (np.abs(file - ours).max(1) < step / 2).mean() > 0.99


def test_a_float_file_and_its_twin_are_as_near_as_float32() -> None:
    images = digits()
    path = FILES / "digits.tflite"
    np.testing.assert_allclose(answers(path, images), twin(path, images), atol=3e-5)


def test_gradients_reach_the_image_in_all_forms() -> None:
    graph = read(INT8, "litert")
    assert output_quantisers(graph)
    for form in ("faithful", "open_output", "pass_through"):
        images = torch.from_numpy(digits()[:8]).requires_grad_()
        GraphTwin(graph, form)(images).logsumexp(1).sum().backward()
        assert images.grad is not None
        assert images.grad.abs().sum() > 0


X = RNG.normal(size=(16, 4, 6, 4)).astype(np.float32)
CONV = {"strideH": 2, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
POOL = {"strideH": 2, "strideW": 2, "filterHeight": 3, "filterWidth": 2, "padding": 0}
F = "float32"


def real(*shape: int) -> T:
    """A constant of random numbers."""
    return T(shape, F, RNG.normal(size=shape))


def whole(*numbers: int) -> T:
    """A constant of whole numbers."""
    return T((len(numbers),), "int32", numbers)


ONE: dict[str, tuple[list[T], dict[str, Any], str, tuple[int, ...]]] = {
    "CONV_2D": ([real(5, 3, 3, 4), real(5)], {**CONV, "padding": 0, "fusedActivationFunction": 1},
                "Conv2DOptions", (1, 2, 6, 5)),
    "CONV_2D valid": ([real(5, 2, 3, 4), real(5)], {**CONV, "padding": 1}, "Conv2DOptions",
                      (1, 2, 4, 5)),
    "DEPTHWISE_CONV_2D": ([real(1, 3, 3, 8), real(8)], {**CONV, "strideH": 1, "padding": 0,
                          "depthMultiplier": 2, "fusedActivationFunction": 3},
                          "DepthwiseConv2DOptions", (1, 4, 6, 8)),
    "AVERAGE_POOL_2D": ([], POOL, "Pool2DOptions", (1, 2, 3, 4)),
    "MAX_POOL_2D": ([], POOL, "Pool2DOptions", (1, 2, 3, 4)),
    "ADD": ([real(4)], {"fusedActivationFunction": 2}, "AddOptions", (1, 4, 6, 4)),
    "SUB": ([real(1, 4, 6, 4)], {}, "SubOptions", (1, 4, 6, 4)),
    "MUL": ([real(1, 1, 6, 4)], {"fusedActivationFunction": 1}, "MulOptions", (1, 4, 6, 4)),
    "DIV": ([real(4)], {}, "DivOptions", (1, 4, 6, 4)),
    "MAXIMUM": ([real(4)], {}, "MaximumMinimumOptions", (1, 4, 6, 4)),
    "MINIMUM": ([real(4)], {}, "MaximumMinimumOptions", (1, 4, 6, 4)),
    "PRELU": ([real(1, 1, 4)], {}, "", (1, 4, 6, 4)),
    "MEAN": ([whole(1, -2)], {"keepDims": False}, "ReducerOptions", (1, 4)),
    "SUM": ([whole(3)], {"keepDims": True}, "ReducerOptions", (1, 4, 6, 1)),
    "REDUCE_MAX": ([whole(1)], {"keepDims": False}, "ReducerOptions", (1, 6, 4)),
    "RESHAPE": ([whole(1, 24, 4)], {}, "ReshapeOptions", (1, 24, 4)),
    "TRANSPOSE": ([whole(0, 3, 1, 2)], {}, "TransposeOptions", (1, 4, 4, 6)),
    "PAD": ([T((4, 2), "int32", [[0, 0], [1, 2], [0, 1], [0, 0]])], {}, "PadOptions", (1, 7, 7, 4)),
    "MIRROR_PAD": ([T((4, 2), "int32", [[0, 0], [1, 2], [0, 1], [0, 0]])], {"mode": 0},
                   "MirrorPadOptions", (1, 7, 7, 4)),
    "SOFTMAX": ([], {"beta": 1.0}, "SoftmaxOptions", (1, 4, 6, 4)),
    "LOG_SOFTMAX": ([], {}, "LogSoftmaxOptions", (1, 4, 6, 4)),
    "LOGISTIC": ([], {}, "", (1, 4, 6, 4)),
    "TANH": ([], {}, "", (1, 4, 6, 4)),
    "HARD_SWISH": ([], {}, "HardSwishOptions", (1, 4, 6, 4)),
    "RELU6": ([], {}, "", (1, 4, 6, 4)),
    "RELU_N1_TO_1": ([], {}, "", (1, 4, 6, 4)),
    "ELU": ([], {}, "", (1, 4, 6, 4)),
    "GELU": ([], {"approximate": True}, "GeluOptions", (1, 4, 6, 4)),
    "LEAKY_RELU": ([], {"alpha": 0.25}, "LeakyReluOptions", (1, 4, 6, 4)),
    "ABS": ([], {}, "AbsOptions", (1, 4, 6, 4)),
    "EXP": ([], {}, "ExpOptions", (1, 4, 6, 4)),
    "L2_NORMALIZATION": ([], {}, "L2NormOptions", (1, 4, 6, 4)),
    "SLICE": ([whole(0, 1, 0, 2), whole(1, 2, -1, 2)], {}, "SliceOptions", (1, 2, 6, 2)),
    "STRIDED_SLICE": ([whole(0, 1, 0, 3), whole(0, 4, -1, 4), whole(1, 2, 2, 1)],
                      {"beginMask": 5, "endMask": 5, "shrinkAxisMask": 8}, "StridedSliceOptions",
                      (1, 2, 3)),
    "GATHER": ([whole(2, 0, 2)], {"axis": 3}, "GatherOptions", (1, 4, 6, 3)),
    "RESIZE_NEAREST_NEIGHBOR": ([whole(8, 9)], {"halfPixelCenters": True},
                                "ResizeNearestNeighborOptions", (1, 8, 9, 4)),
    "RESIZE_BILINEAR": ([whole(8, 9)], {"halfPixelCenters": True}, "ResizeBilinearOptions",
                        (1, 8, 9, 4)),
    "FULLY_CONNECTED": ([real(5, 24), real(5)], {"keepNumDims": False}, "FullyConnectedOptions",
                        (4, 5)),
    "BATCH_MATMUL": ([real(1, 4, 5, 4)], {"adjY": True}, "BatchMatMulOptions", (1, 4, 6, 5)),
    "EXPAND_DIMS": ([whole(1)], {}, "ExpandDimsOptions", (1, 1, 4, 6, 4)),
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(set(ONE) - {"FULLY_CONNECTED"}))
def test_operators_compute_what_litert_does(kind: str, tmp_path: Path) -> None:
    constants, options, schema, shape = ONE[kind]
    tensors = [T((1, 4, 6, 4)), *constants, T(shape)]
    inputs = range(len(tensors) - 1)
    operator = Op(kind.split()[0], inputs, [len(tensors) - 1], options, schema)
    path = write(model(tensors, [operator]), tmp_path / "one.tflite")
    file = answers(path, X, reference=kind != "ELU")  # LiteRT has no reference of ELU
    np.testing.assert_allclose(twin(path, X), file, atol=2e-5)


def test_a_linear_layer_on_many_axes_is_flattened(tmp_path: Path) -> None:
    constants, options, schema, _ = ONE["FULLY_CONNECTED"]
    tensors = [T((1, 4, 6)), real(5, 6), real(5), T((4, 5)), whole(1, 20), T((1, 20))]
    del constants
    operators = [
        Op("FULLY_CONNECTED", [0, 1, 2], [3], options, schema),
        Op("RESHAPE", [3, 4], [5], {}, "ReshapeOptions"),
    ]
    path = write(model(tensors, operators), tmp_path / "linear.tflite")
    images = X[..., 0]
    np.testing.assert_allclose(twin(path, images), answers(path, images), atol=2e-5)


def test_parts_are_split_joined_and_packed(tmp_path: Path) -> None:
    part = (1, 4, 6, 2)
    tensors = [T((1, 4, 6, 4)), T((), "int32", 3), T(part), T(part), T((1, 2, 4, 6, 2)),
               T(part), T(part), T((1, 4, 6, 4))]  # fmt: skip
    operators = [
        Op("SPLIT", [1, 0], [2, 3], {"numSplits": 2}, "SplitOptions"),
        Op("PACK", [3, 2], [4], {"axis": 1, "valuesCount": 2}, "PackOptions"),
        Op("UNPACK", [4], [5, 6], {"axis": 1, "num": 2}, "UnpackOptions"),
        Op("CONCATENATION", [5, 6], [7], {"axis": -1}, "ConcatenationOptions"),
    ]
    path = write(model(tensors, operators), tmp_path / "parts.tflite")
    np.testing.assert_array_equal(twin(path, X), answers(path, X))


CODES = {"dtype": "int8", "scale": 0.05, "zero": -3}


@pytest.mark.parametrize(
    ("kind", "options", "schema", "out"),
    [
        ("LOGISTIC", {}, "", T((1, 4, 6, 4), "int8", None, 1 / 256, -128)),
        ("TANH", {}, "", T((1, 4, 6, 4), "int8", None, 1 / 128, 0)),
        ("SOFTMAX", {"beta": 1.0}, "SoftmaxOptions", T((1, 4, 6, 4), "int8", None, 1 / 256, -128)),
        ("MAX_POOL_2D", POOL, "Pool2DOptions", T((1, 2, 3, 4), "int8", None, 0.05, -3)),
        ("AVERAGE_POOL_2D", POOL, "Pool2DOptions", T((1, 2, 3, 4), "int8", None, 0.05, -3)),
        ("QUANTIZE", {}, "QuantizeOptions", T((1, 4, 6, 4), "int8", None, 0.03, 4)),
        ("HARD_SWISH", {}, "HardSwishOptions", T((1, 4, 6, 4), "int8", None, 0.04, -100)),
        ("DEQUANTIZE", {}, "DequantizeOptions", T((1, 4, 6, 4))),
    ],
)
def test_operators_on_codes_are_within_a_step(
    kind: str, options: dict[str, Any], schema: str, out: T, tmp_path: Path
) -> None:
    tensors = [T((1, 4, 6, 4), **CODES), out]
    path = write(model(tensors, [Op(kind, [0], [1], options, schema)]), tmp_path / "one.tflite")
    gap = np.abs(twin(path, X) - answers(path, X))
    step = float(out.scale or 1e-6)
    assert gap.max() <= 1.001 * step
    assert (gap < step / 2).mean() > 0.97


def _damaged(change: Any, path: Path) -> Path:
    """The fixture with its schema object changed."""
    from ai_edge_litert import schema_py_generated as schema

    made = schema.ModelT.InitFromPackedBuf(INT8.read_bytes(), 0)
    change(made)
    return write(made, path)


def _cycle(made: Any) -> None:
    operators = made.subgraphs[0].operators
    add = operators[3]
    add.inputs = [add.outputs[0], add.outputs[0]]


def _huge(made: Any) -> None:
    made.subgraphs[0].tensors[16].shape = [1, 1 << 15, 1 << 15, 16]


def _short(made: Any) -> None:
    made.buffers[2].data = made.buffers[2].data[:-1]


def _two(made: Any) -> None:
    made.subgraphs.append(made.subgraphs[0])


def _outside(made: Any) -> None:
    made.subgraphs[0].operators[0].inputs = [400, 1, 2]


def _scales(made: Any) -> None:
    codes = made.subgraphs[0].tensors[2].quantization
    codes.scale = np.full_like(codes.scale, np.nan)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (_cycle, "made before it is read"),
        (_huge, "numbers in a tensor"),
        (_short, "bytes"),
        (_two, "one subgraph"),
        (_outside, "tensors"),
        (_scales, "scale above 0"),
    ],
)
def test_broken_files_are_named(change: Any, word: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=word):
        read(_damaged(change, tmp_path / "bad.tflite"), "litert")


def test_unknown_operators_are_named_all_at_once(tmp_path: Path) -> None:
    def change(made: Any) -> None:
        codes = made.operatorCodes
        codes[0].builtinCode, codes[1].builtinCode = 32, 27  # CUSTOM, LSH_PROJECTION's neighbour
        codes[0].customCode = b"FlexErf"

    with pytest.raises(UnknownOperator, match="CUSTOM FlexErf"):
        read(_damaged(change, tmp_path / "bad.tflite"), "litert")


def test_weights_of_codes_on_floats_are_a_black_box(tmp_path: Path) -> None:
    codes = T((5, 6), "int8", RNG.integers(-100, 100, (5, 6)), np.full(5, 0.01))
    tensors = [T((1, 6)), codes, T((1, 5))]
    operator = Op("FULLY_CONNECTED", [0, 1, -1], [2], {}, "FullyConnectedOptions")
    path = write(model(tensors, [operator]), tmp_path / "dynamic.tflite")
    with pytest.raises(UnknownOperator, match="int8 weights on float"):
        read(path, "litert")


@pytest.mark.parametrize(
    "weight",
    [
        T((5, 6), "float16", RNG.normal(size=(5, 6))),
        T((5, 6), "int8", RNG.integers(-100, 100, (5, 6)), np.full(5, 0.01)),
    ],
)
def test_weights_in_fewer_bits_made_float_are_read(weight: T, tmp_path: Path) -> None:
    tensors = [T((1, 6)), weight, T((5, 6)), T((1, 5))]
    operators = [
        Op("DEQUANTIZE", [1], [2], {}, "DequantizeOptions"),
        Op("FULLY_CONNECTED", [0, 2, -1], [3], {}, "FullyConnectedOptions"),
    ]
    path = write(model(tensors, operators), tmp_path / "small.tflite")
    images = X[:, 0, :, 0]
    np.testing.assert_allclose(twin(path, images), answers(path, images), atol=1e-5)


def test_what_is_no_litert_file_is_said(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(UnreadableFile, match="TFL3"):
        read(path, "litert")
    path.write_bytes(INT8.read_bytes()[:300])
    with pytest.raises(UnreadableFile):
        read(path, "litert")
    with pytest.raises(UnreadableFile, match="expected a file"):
        read(tmp_path / "absent.tflite", "litert")


def test_ports_are_chosen_by_name() -> None:
    assert read(INT8, "litert").input.name == "serving_default_args_0"
    with pytest.raises(UserError, match="serving_default_output_0_output"):
        read(INT8, "litert", output_name="elsewhere")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=4),
       st.floats(0.5, 1.5), st.booleans())  # fmt: skip
def test_flipped_and_cut_files_are_read_or_refused(
    flips: list[tuple[float, int]], kept: float, early: bool
) -> None:
    content = bytearray(INT8.read_bytes())
    for place, bits in flips:
        content[int(place * (4000 if early else len(content) - 1))] ^= bits
    path = Path("flipped.tflite")
    with pytest.MonkeyPatch.context() as patch:
        cut = bytes(content[: int(kept * len(content))])
        patch.setattr("robench.graph.flatbuffer.read_plain", lambda *_: cut)
        with suppress(UnreadableFile, UnknownOperator):
            assert isinstance(read(path, "litert"), Graph)


def behind(content: bytes, extra: int = 0) -> bytes:
    """A file whose constants stand behind its flatbuffer, as converters put large ones."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    def packed(first: int) -> bytes:
        made = schema.ModelT.InitFromPackedBuf(content, 0)
        place = first
        for buffer in made.buffers:
            if buffer.data is not None and len(buffer.data):
                held.append(bytes(buffer.data))
                buffer.data, buffer.offset, buffer.size = None, place, len(held[-1]) + extra
                place += len(held[-1])
        builder = flatbuffers.Builder()
        builder.Finish(made.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    held: list[bytes] = []
    start = len(packed(len(content)))
    held.clear()
    return packed(start) + b"".join(held)


def test_constants_behind_the_flatbuffer_are_those_of_the_file(tmp_path: Path) -> None:
    path, images = tmp_path / "behind.tflite", digits()[:50]
    path.write_bytes(behind(INT8.read_bytes()))
    np.testing.assert_array_equal(answers(path, images), answers(INT8, images))
    np.testing.assert_array_equal(twin(path, images), twin(INT8, images))
    path.write_bytes(behind(INT8.read_bytes(), extra=1 << 40))
    with pytest.raises(UnreadableFile, match="of the file"):
        read(path, "litert")
