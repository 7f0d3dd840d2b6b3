"""Small ONNX files, and data that they classify by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import robench

SHAPE, CLASSES = (1, 2, 2), 4


def corners(count: int = 80) -> robench.Data:
    """Images of 2x2 pixels: the class is the place of the brightest one."""
    labels = torch.arange(count) % CLASSES
    dark = torch.randint(0, 60, (count, 4), generator=torch.Generator().manual_seed(0))
    dark[torch.arange(count), labels] += 120
    images = dark.to(torch.uint8).view(count, *SHAPE)
    split = robench.Split(images, labels)
    usual = robench.UsualThreat({"linf": (0.05, 0.1, 0.2)}, 0.2)
    return robench.Data(split, split, ("a", "b", "c", "d"), usual)


def node(kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> Any:
    from onnx import helper

    return helper.make_node(kind, inputs, outputs, **attributes)


def port(name: str, shape: Sequence[int | str], dtype: str = "FLOAT") -> Any:
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(name, getattr(TensorProto, dtype), shape)


def save(
    path: Path,
    nodes: Sequence[Any],
    *,
    inputs: Sequence[Any] = (),
    outputs: Sequence[Any] = (),
    constants: dict[str, Any] | None = None,
    domains: Sequence[str] = (),
) -> Path:
    """An ONNX file of these nodes, from images (N, 1, 2, 2) to logits (N, 4) unless said."""
    import onnx
    from onnx import helper, numpy_helper

    known = [numpy_helper.from_array(np.asarray(v), k) for k, v in (constants or {}).items()]
    graph = helper.make_graph(
        list(nodes),
        "toy",
        list(inputs) or [port("images", ["n", 1, 2, 2])],
        list(outputs) or [port("logits", ["n", 4])],
        known,
    )
    opsets = [helper.make_opsetid("", 17), *(helper.make_opsetid(one, 1) for one in domains)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return path


def flat(path: Path, **given: Any) -> Path:
    """The pixels themselves as logits."""
    return save(path, [node("Flatten", ["images"], ["logits"], axis=1)], **given)


def gathered(path: Path, order: list[int]) -> Path:
    """The pixels in another order as logits."""
    nodes = [
        node("Flatten", ["images"], ["flat"], axis=1),
        node("Gather", ["flat", "order"], ["logits"], axis=1),
    ]
    outputs = [port("logits", ["n", len(order)])]
    return save(path, nodes, outputs=outputs, constants={"order": np.array(order)})
