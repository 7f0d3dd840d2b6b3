"""Files opened: what is one, what is refused, and in what words."""

from __future__ import annotations

import io
import pickle
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import robench
from robench.core.record import TwinAgreement
from robench.core.threat import Threat
from robench.graph import whole
from robench.shipped import open_system
from robench.shipped.agreement import under_attack
from robench.shipped.system import sha256
from tests.shipped.toys import CLASSES, SHAPE, corners, flat, gathered, node, port, save

pytest.importorskip("onnxruntime")


def opened(path: Path, **given: Any) -> robench.System:
    return open_system(path, shape=SHAPE, classes=CLASSES, **given)


def test_a_file_is_deployed_and_its_twin_is_the_same_function(tmp_path: Path) -> None:
    data, path = corners(), flat(tmp_path / "net.onnx")
    system = opened(path)
    images = data.test.float_images()
    assert torch.equal(system.deployed.predict(images), data.test.labels)
    leaf = images.clone().requires_grad_()
    system.twin(leaf).sum().backward()
    torch.testing.assert_close(leaf.grad, torch.ones_like(images))
    assert (system.black_box, dict(system.others)) == ("", {})
    assert system.deployed.nbytes() == path.stat().st_size
    system.deployed.save(tmp_path)
    assert (tmp_path / "network.onnx").read_bytes() == path.read_bytes()
    assert system.deployed.predict(images[:0]).shape == (0,)


@pytest.mark.parametrize("shape", [8, (8, 8), (1, 8, "8"), (0, 8, 8), None])
def test_a_shape_is_three_numbers(shape: Any, tmp_path: Path) -> None:
    with pytest.raises(robench.ConfigError, match=r"shape to be \(channels, height, width\), got "):
        open_system(flat(tmp_path / "net.onnx"), shape=shape, classes=CLASSES)


def test_images_of_numpy_are_one_line(tmp_path: Path) -> None:
    images: Any = corners().test.float_images().numpy()
    with pytest.raises(robench.UserError, match=r"got ndarray; use torch\.from_numpy"):
        opened(flat(tmp_path / "net.onnx")).deployed.predict(images)


def kept_beside(path: Path, place: str = "weights") -> None:
    """A file that adds 3, 2, 1 and 0 to the pixels, numbers that it keeps in another file."""
    import onnx

    nodes = [node("Flatten", ["images"], ["flat"], axis=1), node("Add", ["flat", "c"], ["logits"])]
    save(path, nodes, constants={"c": np.arange(4, dtype=np.float32)[::-1].copy()})
    onnx.save(
        onnx.load(path), path, save_as_external_data=True, location="weights", size_threshold=0
    )
    model = onnx.load(path, load_external_data=False)
    (where,) = (one for one in model.graph.initializer[0].external_data if one.key == "location")
    where.value = place
    onnx.save(model, path)


def test_weights_beside_an_onnx_file_belong_to_it(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    kept_beside(path)
    system = opened(path)
    zeros = torch.zeros(1, *SHAPE)
    answers = system.deployed.logits(zeros)  # type: ignore[attr-defined]
    assert answers.tolist() == system.twin(zeros).tolist() == [[3.0, 2.0, 1.0, 0.0]]
    weights = (tmp_path / "weights").read_bytes()
    (tmp_path / "weights").write_bytes(weights[::-1])
    assert sha256(whole(path)) != system.deployed.facts.sha256  # type: ignore[attr-defined]
    (tmp_path / "alone").mkdir()
    system.deployed.save(tmp_path / "alone")
    again = opened(tmp_path / "alone" / "network.onnx").deployed
    assert again.logits(zeros).tolist() == answers.tolist()  # type: ignore[attr-defined]
    assert again.facts == system.deployed.facts  # type: ignore[attr-defined]


@pytest.mark.parametrize("count", [1, 3, 4, 9])
def test_a_fixed_batch_is_filled_up(count: int, tmp_path: Path) -> None:
    ports = {"inputs": [port("images", [4, 1, 2, 2])], "outputs": [port("logits", [4, 4])]}
    system, free = opened(flat(tmp_path / "four.onnx", **ports)), opened(flat(tmp_path / "n.onnx"))
    images = corners().test.float_images()[:count]
    expected = free.deployed.logits(images)  # type: ignore[attr-defined]
    torch.testing.assert_close(system.deployed.logits(images), expected)  # type: ignore[attr-defined]
    torch.testing.assert_close(system.twin(images), expected)


def test_one_of_several_outputs(tmp_path: Path) -> None:
    nodes = [
        node("Flatten", ["images"], ["logits"], axis=1),
        node("Neg", ["logits"], ["negated"]),
    ]
    outputs = [port("logits", ["n", 4]), port("negated", ["n", 4])]
    path = save(tmp_path / "two.onnx", nodes, outputs=outputs)
    images = corners().test.float_images()
    first, second = (opened(path, output=name) for name in ("logits", "negated"))
    torch.testing.assert_close(first.twin(images), -second.twin(images))
    assert not torch.equal(first.deployed.predict(images), second.deployed.predict(images))


def test_a_softmax_at_the_end_hides_no_gradient(tmp_path: Path) -> None:
    nodes = [
        node("Flatten", ["images"], ["flat"], axis=1),
        node("Mul", ["flat", "large"], ["scaled"]),
        node("Softmax", ["scaled"], ["logits"], axis=1),
    ]
    path = save(tmp_path / "p.onnx", nodes, constants={"large": np.float32(1000)})
    system = opened(path, outputs="probabilities")
    leaf = corners().test.float_images().requires_grad_()
    system.twin(leaf)[:, 0].sum().backward()
    assert leaf.grad is not None
    assert float(leaf.grad.abs().sum()) > 0
    assert torch.equal(system.twin(leaf).argmax(1), system.deployed.predict(leaf.detach()))


def test_an_operator_that_no_reader_knows_makes_a_black_box(tmp_path: Path) -> None:
    nodes = [
        node("Flatten", ["images"], ["flat"], axis=1),
        node("Det", ["eye"], ["one"]),
        node("Mul", ["flat", "one"], ["logits"]),
    ]
    path = save(tmp_path / "net.onnx", nodes, constants={"eye": np.eye(2, dtype=np.float32)})
    system, images = opened(path), corners().test.float_images()
    assert "Det" in system.black_box
    leaf = images.clone().requires_grad_()
    assert not system.twin(leaf).requires_grad
    assert torch.equal(system.twin(images).argmax(1), system.deployed.predict(images))
    assert system.deployed.facts.black_box == system.black_box  # type: ignore[attr-defined]


def _custom(path: Path) -> None:
    save(path, [node("Anything", ["images"], ["logits"], domain="evil")], domains=["evil"])


def _two_inputs(path: Path) -> None:
    nodes = [
        node("Flatten", ["images"], ["flat"], axis=1),
        node("Add", ["flat", "more"], ["logits"]),
    ]
    save(path, nodes, inputs=[port("images", ["n", 1, 2, 2]), port("more", ["n", 4])])


def _two_outputs(path: Path) -> None:
    nodes = [node("Flatten", ["images"], ["logits"], axis=1), node("Neg", ["logits"], ["other"])]
    save(path, nodes, outputs=[port("logits", ["n", 4]), port("other", ["n", 4])])


def _labels(path: Path) -> None:
    nodes = [
        node("Flatten", ["images"], ["flat"], axis=1),
        node("ArgMax", ["flat"], ["logits"], axis=1, keepdims=0),
    ]
    save(path, nodes, outputs=[port("logits", ["n"], "INT64")])


def _pickled(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data/weights/weight_0", pickle.dumps(io.StringIO))
        archive.writestr("net/models/model.json", b"{}")


BAD: dict[str, tuple[Callable[[Path], Any], str, dict[str, Any]]] = {
    "nothing.onnx": (lambda path: None, "expected a file at", {}),
    "folder.onnx": (lambda path: path.mkdir(), "expected plain files, got the folder", {}),
    "net.jpeg": (lambda path: path.write_bytes(b"x"), "ends in", {}),
    "empty.onnx": (lambda path: path.touch(), "got an empty file", {}),
    "page.onnx": (lambda path: path.write_text("<!DOCTYPE html>"), "got a web page", {}),
    "pointer.onnx": (
        lambda path: path.write_text("version https://git-lfs.github.com/spec/v1"),
        "got a Git LFS pointer",
        {},
    ),
    "labels.onnx": (_labels, "one number an image .*as labels are", {}),
    "magic.onnx": (lambda path: path.write_bytes(b"TFL3" * 40), "expected an ONNX file", {}),
    "half.onnx": (
        lambda path: path.write_bytes(flat(path).read_bytes()[:80]),
        "expected an ONNX file",
        {},
    ),
    "custom.onnx": (_custom, "evil", {}),
    "inputs.onnx": (_two_inputs, "expected one input, .* got 'images', 'more'", {}),
    "outputs.onnx": (_two_outputs, "one of 'logits', 'other'.*model.file.output", {}),
    "absent.onnx": (_two_outputs, "got 'logit'; did you mean", {"output": "logit"}),
    "outside.onnx": (
        lambda path: kept_beside(path, "../weights"),
        "expected external data beside the file",
        {},
    ),
    "wide.onnx": (
        lambda path: flat(path, inputs=[port("images", ["n", 3, 8, 8])]),
        r"expected an input of shape \?x1x2x2",
        {},
    ),
    "classes.onnx": (
        lambda path: gathered(path, [0, 1, 2]),
        "expected 4 outputs, .* got 3",
        {},
    ),
    "order.onnx": (flat, "a position for each of 4 classes, got 2", {"order": (0, 1)}),
    "unknown.onnx": (flat, "expected runtime to be one of", {"runtime": "onnx_runtime"}),
    "other.onnx": (flat, r"ends in .tflite for runtime litert", {"runtime": "litert"}),
    "magic.tflite": (lambda path: path.write_bytes(b"x" * 100), "expected", {}),
    "magic.pt2": (lambda path: path.write_bytes(b"x" * 100), "expected", {}),
    "pickled.pt2": (_pickled, "expected", {}),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_ends_in_one_line(name: str, tmp_path: Path) -> None:
    write, said, given = BAD[name]
    write(tmp_path / name)
    with pytest.raises(robench.UserError, match=said) as raised:
        opened(tmp_path / name, **given)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 700


@pytest.mark.parametrize(
    ("package", "runtime"), [("onnxruntime", "onnxruntime"), ("openvino", "openvino")]
)
def test_a_missing_package_names_what_installs_it(
    package: str, runtime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(robench.UserError, match=rf"{runtime}.*pip install 'robench\["):
        opened(flat(tmp_path / "net.onnx"), runtime=runtime)


def test_its_spread_is_that_of_its_runtime_and_of_batches(tmp_path: Path) -> None:
    images = corners().test.float_images()
    deployed = opened(flat(tmp_path / "net.onnx")).deployed
    ways = deployed.variants()  # type: ignore[attr-defined]
    assert {"optimisations off", "image by image"} < set(ways)
    assert all(torch.equal(way.predict(images), deployed.predict(images)) for way in ways.values())


def test_what_asks_about_each_image_alone_asks_about_few(tmp_path: Path) -> None:
    asked: dict[str, int] = {}

    @dataclass
    class Way:
        name: str
        inner: robench.Deployed

        def predict(self, images: torch.Tensor) -> torch.Tensor:
            asked[self.name] = asked.get(self.name, 0) + len(images)
            return self.inner.predict(images)

    data, system = corners(), opened(flat(tmp_path / "net.onnx"))
    test = data.test.take(torch.arange(120) % len(data.test))
    ways = {name: Way(name, way) for name, way in system.deployed.variants().items()}  # type: ignore[attr-defined]
    system.deployed.variants = lambda: ways  # type: ignore[attr-defined]
    clean = TwinAgreement(equal_labels=1.0, logit_gap=None, n=120, flagged=False)
    found = under_attack(clean, system, test, Threat("linf", 0.1), seed=0)
    assert found.spread == found.adversarial_spread == 1.0
    assert asked["image by image"] == 2 * 40
    assert asked["optimisations off"] == 2 * 120


def test_a_twin_that_keeps_labels_and_adds_to_logits_is_a_surrogate(tmp_path: Path) -> None:
    system, test = opened(flat(tmp_path / "net.onnx")), corners().test
    clean = TwinAgreement(equal_labels=1.0, logit_gap=None, n=len(test), flagged=False)

    def found(twin: torch.nn.Module) -> TwinAgreement:
        return under_attack(clean, replace(system, twin=twin), test, Threat("linf", 0.1), seed=0)

    class Decoy(torch.nn.Module):
        """Adds the same to each logit, which no label shows."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1) + 3 * torch.sin(40 * x).sum((1, 2, 3)).unsqueeze(1)

    honest, decoy = found(system.twin), found(Decoy())
    assert (honest.explained, honest.surrogate) == (1.0, False)
    assert decoy.adversarial == 1.0
    assert decoy.explained is not None
    assert decoy.explained < 0.5
    assert decoy.surrogate
