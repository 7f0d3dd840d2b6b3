"""Whatever an ONNX file holds, reading it ends in a table or in one line, within bounds."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from robench.base.errors import UserError
from robench.graph import GraphTwin, UnknownOperator, UnreadableFile, read
from robench.graph.onnx import file as onnx_file
from tests.graph.onnx_models import model, node, saved, small_cnn

CONTENT = small_cnn().SerializeToString()


def attempt(content: bytes, folder: Path) -> None:
    path = folder / "net.onnx"
    path.write_bytes(content)
    with suppress(UnreadableFile, UnknownOperator):
        GraphTwin(read(path, "onnx"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(CONTENT)))
def test_a_truncated_file_is_one_line(folder: Path, length: int) -> None:
    attempt(CONTENT[:length], folder)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(CONTENT) - 1), st.integers(0, 255)), max_size=4))
def test_flipped_bytes_are_a_table_or_one_line(folder: Path, flips: list[tuple[int, int]]) -> None:
    content = bytearray(CONTENT)
    for place, value in flips:
        content[place] = value
    attempt(bytes(content), folder)


# The nodes' own bytes, where a flip changes what is meant rather than a number.
STRUCTURE = [i for i, byte in enumerate(CONTENT) if byte < 32 or 48 <= byte < 123][:600]


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(STRUCTURE), st.integers(0, 255))
def test_flips_in_nodes_are_a_table_or_one_line(folder: Path, place: int, value: int) -> None:
    attempt(CONTENT[:place] + bytes([value]) + CONTENT[place + 1 :], folder)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n", b"<html>not found</html>", bytes(99)])
def test_other_files_are_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(UnreadableFile, match="expected an ONNX file"):
        read(path, "onnx")


def test_what_is_no_file_is_said(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("missing", "pipe", "."):
        with pytest.raises(UnreadableFile, match="expected a file"):
            read(tmp_path / name, "onnx")


def test_no_more_bytes_are_read_than_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_file, "MAX_BYTES", 1000)
    with pytest.raises(UnreadableFile, match="at most 1000 bytes"):
        read(saved(small_cnn(), tmp_path), "onnx")


def test_a_circle_is_one_line(tmp_path: Path) -> None:
    nodes = [node("Add", "x b", "a"), node("Relu", "a", "b"), node("Relu", "b")]
    with pytest.raises(UnreadableFile, match="circle"):
        read(saved(model(nodes, ("n", 4), {}), tmp_path), "onnx")


def test_too_many_operators_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "MAX_OPERATORS", 10)
    with pytest.raises(UnreadableFile, match="at most 10 operators"):
        read(saved(small_cnn(), tmp_path), "onnx")


HUGE = np.asarray([2**20, 2**20], np.int64)


@pytest.mark.parametrize(
    ("kind", "inputs", "attributes"),
    [
        ("ConstantOfShape", "huge", {}),
        ("Expand", "one huge", {}),
        ("Tile", "square huge", {}),
        ("Range", "zero many two", {}),
        ("Pad", "x pads", {}),
        ("Expand", "x wide", {}),
        ("Resize", "image - - size", {"mode": "nearest"}),
    ],
)
def test_a_few_bytes_cannot_ask_for_memory(
    kind: str, inputs: str, attributes: dict[str, str], tmp_path: Path
) -> None:
    constants = {
        "huge": HUGE, "one": np.ones((1, 1), np.float32), "square": np.ones((2, 2), np.float32),
        "zero": np.asarray(0), "many": np.asarray(2**60), "two": np.asarray(1),
        "pads": np.asarray([0, 2**40, 0, 0]), "wide": np.asarray([2**40, 1, 4]),
        "size": np.asarray([1, 1, 2**20, 2**20]), "four": np.asarray([-1, 1, 2, 2]),
    }  # fmt: skip
    nodes = [
        node("Reshape", "x four", "image"),
        node(kind, inputs, "big", **attributes),
        node("ReduceSum", "big", "sum", keepdims=0),
        node("Add", "x sum"),
    ]
    with pytest.raises((UnreadableFile, UnknownOperator)):
        read(saved(model(nodes, ("n", 4), constants), tmp_path), "onnx")


def test_a_tensor_of_more_numbers_than_bytes_is_one_line(tmp_path: Path) -> None:
    made = model([node("Add", "x w")], ("n", 4), {"w": np.ones(4, np.float32)})
    made.graph.initializer[0].dims[:] = [2**20, 200]
    with pytest.raises(UnreadableFile, match="expected the numbers of 'w'"):
        read(saved(made, tmp_path), "onnx")
    made.graph.initializer[0].dims[:] = [2**40, 2**40]
    with pytest.raises(UnreadableFile, match="expected at most"):
        read(saved(made, tmp_path), "onnx")


def external(location: str, offset: str = "0", length: str = "16") -> onnx.ModelProto:
    made = model([node("Add", "x w")], ("n", 4), {"w": np.ones(4, np.float32)})
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=value)
    return made


def test_numbers_beside_the_file_are_read_from_its_own_folder_alone(tmp_path: Path) -> None:
    folder = tmp_path / "net"
    folder.mkdir()
    numbers = np.arange(4, dtype=np.float32)
    for place in (folder / "w.bin", tmp_path / "secret.bin"):
        place.write_bytes(numbers.tobytes())
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    graph = read(saved(external("w.bin"), folder), "onnx")
    assert any(np.array_equal(one.values, numbers) for one in graph.constants.values())
    for place in ("../secret.bin", str(tmp_path / "secret.bin"), "link.bin", "", ".", "no.bin"):
        with pytest.raises(UnreadableFile, match="beside the file"):
            read(saved(external(place), folder), "onnx")


@pytest.mark.parametrize(
    ("offset", "length"), [("8", "16"), ("-4", "16"), ("0", "-1"), ("x", "16"), ("0", "12")]
)
def test_places_outside_the_file_beside_it_are_one_line(
    offset: str, length: str, tmp_path: Path
) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(16))
    with pytest.raises(UnreadableFile):
        read(saved(external("w.bin", offset, length), tmp_path), "onnx")


def test_several_outputs_are_named_and_one_is_chosen(tmp_path: Path) -> None:
    made = model([node("Relu", "x", "a"), node("Neg", "x", "b")], ("n", 4), {}, output="a")
    made.graph.output.add().CopyFrom(
        helper.make_tensor_value_info("b", onnx.TensorProto.FLOAT, None)
    )
    path = saved(made, tmp_path)
    with pytest.raises(UserError, match="'a', 'b'"):
        read(path, "onnx")
    assert read(path, "onnx", output_name="b").output.name == "b"
    with pytest.raises(UserError, match="'c'"):
        read(path, "onnx", output_name="c")


def test_a_second_input_is_named(tmp_path: Path) -> None:
    made = model([node("Add", "x z")], ("n", 4), {})
    made.graph.input.add().CopyFrom(
        helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, [1, 4])
    )
    path = saved(made, tmp_path)
    with pytest.raises(UserError, match="'x', 'z'"):
        read(path, "onnx")
    with pytest.raises(UnknownOperator, match="second input 'z'"):
        read(path, "onnx", input_name="x")


def test_sizes_left_free_are_the_image_s(tmp_path: Path) -> None:
    made = model([node("GlobalAveragePool", "x", "y")], ("n", 4, "h", "w"), {})
    path = saved(made, tmp_path)
    with pytest.raises(UnknownOperator, match="free size"):
        read(path, "onnx")
    assert read(path, "onnx", image=(4, 6, 5)).input.shape == (None, 4, 6, 5)
    with pytest.raises(UserError, match="images of shape"):
        read(path, "onnx", image=(3, 6, 5))


@pytest.mark.parametrize("opset", [12, 24])
def test_other_opsets_are_named(opset: int, tmp_path: Path) -> None:
    with pytest.raises(UnknownOperator, match=f"opset {opset}"):
        read(saved(model([node("Relu", "x")], ("n", 4), {}, opset=opset), tmp_path), "onnx")


def test_control_flow_functions_and_custom_operators_are_named(tmp_path: Path) -> None:
    body = helper.make_graph([node("Relu", "x")], "b", [], [])
    nodes = [
        node("If", "c", "a", then_branch=body, else_branch=body),
        node("Secret", "a", domain="my.company"),
    ]
    made = model(nodes, ("n", 4), {"c": np.asarray(True)})
    with pytest.raises(UnknownOperator, match=r"If, my\.company\.Secret"):
        read(saved(made, tmp_path), "onnx")
    opsets = [helper.make_opsetid("", 18)]
    own = helper.make_function("local", "F", ["x"], ["y"], [node("Relu", "x")], opsets)
    made.functions.append(own)
    with pytest.raises(UnknownOperator, match="function local"):
        read(saved(made, tmp_path), "onnx")


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
def test_an_impossible_scale_is_one_line(scale: float, tmp_path: Path) -> None:
    constants = {"s": np.float32(scale), "z": np.uint8(3)}
    made = model([node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z")],
                 ("n", 4), constants)  # fmt: skip
    with pytest.raises(UnreadableFile, match="positive scales"):
        read(saved(made, tmp_path), "onnx")


def test_shapes_that_do_not_fit_are_one_line(tmp_path: Path) -> None:
    made = model([node("MatMul", "x w")], ("n", 4), {"w": np.ones((5, 2), np.float32)})
    with pytest.raises(UnreadableFile, match="shapes that fit, got MatMul"):
        read(saved(made, tmp_path), "onnx")


def test_text_is_no_number(tmp_path: Path) -> None:
    made = model([node("Relu", "x")], ("n", 4), {})
    made.graph.initializer.append(numpy_helper.from_array(np.asarray(["a"], object), "t"))
    with pytest.raises(UnknownOperator, match="text"):
        read(saved(made, tmp_path), "onnx")
