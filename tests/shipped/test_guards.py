"""A file that makes no sense as it is read ends before any attack, with the likely cause."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import robench
from robench.shipped import open_system, require_sense
from tests.shipped.toys import CLASSES, SHAPE, corners, flat, gathered, node, save

pytest.importorskip("onnxruntime")
DATA = corners(200)


def judged(path: Path, **given: Any) -> None:
    require_sense(open_system(path, shape=SHAPE, classes=CLASSES, **given), DATA)


def wanting(path: Path, *, least: float, most: float) -> Path:
    """A file that answers at random unless its pixels lie in a range: it clips them."""
    nodes = [
        node("Flatten", ["images"], ["flat"], axis=1),
        node("Clip", ["flat", "least", "most"], ["logits"]),
    ]
    return save(path, nodes, constants={"least": np.float32(least), "most": np.float32(most)})


def test_a_sound_file_passes(tmp_path: Path) -> None:
    judged(flat(tmp_path / "net.onnx"))
    judged(wanting(tmp_path / "bytes.onnx", least=20, most=1000), scale="byte")
    judged(gathered(tmp_path / "order.onnx", [1, 2, 3, 0]), order=(3, 0, 1, 2))


@pytest.mark.parametrize(
    ("least", "most", "given", "said"),
    [
        (20, 1000, {}, "model.file.scale=byte it is 100.0%"),
        (-1, 1, {"scale": "byte"}, "model.file.scale=unit it is"),
    ],
)
def test_pixels_of_another_scale(
    least: float, most: float, given: dict[str, Any], said: str, tmp_path: Path
) -> None:
    path = wanting(tmp_path / "net.onnx", least=least, most=most)
    with pytest.raises(robench.ConfigError, match=said):
        judged(path, **given)


def test_labels_in_another_order(tmp_path: Path) -> None:
    path = gathered(tmp_path / "net.onnx", [1, 2, 3, 0])
    with pytest.raises(robench.ConfigError, match=r"model.file.order=\[3,0,1,2\] it is 100"):
        judged(path)


def test_pixels_normalised_outside(tmp_path: Path) -> None:
    path = wanting(tmp_path / "net.onnx", least=-0.3, most=-0.1)
    with pytest.raises(robench.ConfigError, match=r"with .*model.file.mean=\["):
        judged(path)


def test_pixels_normalised_twice_and_of_another_scale(tmp_path: Path) -> None:
    """Another scale alone would change the units of the mean, too."""
    path = wanting(tmp_path / "net.onnx", least=100, most=140)
    both = r"with model\.file\.scale=byte model\.file\.mean=\[\] model\.file\.std=\[\] it is 100"
    with pytest.raises(robench.ConfigError, match=both):
        judged(path, mean=(0.485,), std=(0.229,))


def test_chance_is_named_with_what_may_be_wrong(tmp_path: Path) -> None:
    path = wanting(tmp_path / "net.onnx", least=7000, most=8000)
    with pytest.raises(robench.ConfigError, match=r"always naming one class.*model.file.order"):
        judged(path)


def test_probabilities_for_logits_and_the_other_way_round(tmp_path: Path) -> None:
    nodes = [
        node("Flatten", ["images"], ["flat"], axis=1),
        node("Softmax", ["flat"], ["logits"], axis=1),
    ]
    path = save(tmp_path / "p.onnx", nodes)
    judged(path, outputs="probabilities")
    with pytest.raises(robench.ConfigError, match=r"model.file.outputs=probabilities"):
        judged(path)
    centred = flat(tmp_path / "net.onnx")
    with pytest.raises(robench.ConfigError, match=r"model.file.outputs=logits"):
        judged(centred, scale="int8", outputs="probabilities")


def test_a_guess_is_no_verdict_on_few_images(tmp_path: Path) -> None:
    """A file that is right often enough is left alone, whatever else might do."""
    few = replace(DATA, test=DATA.test.take(torch.arange(12)), hash="")
    system = open_system(flat(tmp_path / "net.onnx"), shape=SHAPE, classes=CLASSES)
    require_sense(system, few)


def _two(first: Any, **constants: Any) -> Any:
    """The pixels, and what a node makes of them, as logits."""
    nodes = [node("Flatten", ["images"], ["flat"], axis=1), first]
    return lambda path: save(path, nodes, constants=constants)


BAD: dict[str, tuple[Any, str]] = {
    "random": (
        _two(node("RandomNormalLike", ["flat"], ["logits"])), "draws at random",
    ),
    "mixed": (
        _two(node("Softmax", ["flat"], ["logits"], axis=0)), "mixes those of a batch",
    ),
    "nan": (
        _two(node("Mul", ["flat", "nan"], ["logits"]), nan=np.float32(np.nan)), "NaN",
    ),
    "chance": (_two(node("Neg", ["flat"], ["logits"])), "always naming one class"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_no_attack_can_be_judged_on_is_named(name: str, tmp_path: Path) -> None:
    make, said = BAD[name]
    with pytest.raises(robench.ConfigError, match=said):
        judged(make(tmp_path / "net.onnx"))


def test_classes_in_another_order_are_found_where_some_are_right(tmp_path: Path) -> None:
    path = gathered(tmp_path / "net.onnx", [0, 1, 3, 2])
    with pytest.raises(robench.ConfigError, match=r"model.file.order=\[0,1,3,2\] it is 100"):
        judged(path)
