"""`model=file`: from a file to a record, and from the record alone to its verification."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import robench
from robench.base.hashing import file_hash
from robench.cli.main import main
from robench.records.store import artefact, read
from robench.replay.verify import verify
from robench_files.file import File
from tests.shipped.toys import corners, flat

pytest.importorskip("onnxruntime")
FILES = Path(__file__).parents[2] / "fixtures/files"


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, robench.Places]:
    """The record of a file that is no longer there."""
    root = tmp_path_factory.mktemp("file")
    path = root / "net.onnx"
    shutil.copyfile(FILES / "digits.qdq.onnx", path)
    places = robench.Places(results=root / "results", cache=root / "cache", threads=1)
    record = robench.evaluate(
        path, "digits", attack=("fgsm", "square"), images=50, audit="off", places=places
    )
    path.unlink()
    return root / "results" / record.id, replace(places, cache=root / "empty")


def test_the_record_names_and_keeps_the_file(judged: tuple[Path, robench.Places]) -> None:
    folder, _ = judged
    record, kept = read(folder), artefact(folder)
    assert kept is not None
    assert kept.name == "network.onnx"
    assert record.file is not None
    assert record.file.sha256 == file_hash(kept) == file_hash(FILES / "digits.qdq.onnx")
    assert record.files["network.onnx"] == record.file.sha256
    assert (record.file.format, record.file.runtime) == ("onnx", "onnxruntime")
    assert record.file.bytes == kept.stat().st_size
    assert all((record.file.version, record.file.provider, record.file.instructions))
    assert record.agreement.equal_labels == 1
    clean, broken = (record.find(name) for name in ("clean_accuracy", "worst_case_accuracy"))
    assert clean is not None
    assert broken is not None
    assert clean.value > 0.9 > 0.5 > broken.value  # type: ignore[operator]


def test_the_record_alone_is_verified(judged: tuple[Path, robench.Places]) -> None:
    folder, places = judged
    found = verify(folder, places, seed=0)
    outcomes = {step.name: step.outcome for step in found.steps}
    assert [outcomes[name] for name in ("model", "rows", "examples")] == ["pass"] * 3
    assert not found.refuted


def test_a_record_with_another_file_is_refuted(
    judged: tuple[Path, robench.Places], tmp_path: Path
) -> None:
    folder, places = judged
    forged = tmp_path / folder.name
    shutil.copytree(folder, forged)
    shutil.copyfile(FILES / "digits.qoperator.onnx", forged / "network.onnx")
    found = verify(forged, places, seed=0)
    assert found.refuted or found.level != "verified"


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "compressor": ({"compressor": "ptq_int8"}, "expected compressor=none with model=file"),
    "training": ({"defense": "adversarial_training"}, "only wrap what is deployed"),
    "map": ({"defense": "mulaw"}, "changes training or weights"),
    "its own transfer": ({"access": ["transfer"]}, "access.transfer.source to name a model"),
    "smoothing that trains": ({"defense": "float_rs"}, "float_rs.train_sigma=0"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_change_the_file_is_refused(name: str, tmp_path: Path) -> None:
    parts, said = REFUSED[name]
    with pytest.raises(robench.ConfigError, match=said) as raised:
        robench.evaluate(flat(tmp_path / "net.onnx"), corners(), **parts)
    assert "\n" not in str(raised.value)


def test_a_defense_may_wrap_what_the_file_answers(tmp_path: Path) -> None:
    smoothing = robench.registry().get("defense", "float_rs").make(train_sigma=0.0, draws=20)
    record = robench.evaluate(
        flat(tmp_path / "net.onnx"),
        corners(),
        defense=smoothing,  # type: ignore[arg-type]
        attack="fgsm",
        images=20,
        audit="off",
    )
    assert record.file is not None
    assert record.agreement.after_deploy is not None


def test_an_own_script_asks_and_attacks_the_file() -> None:
    from robench.shipped import open_system

    data = robench.registry().get("dataset", "digits").make().load(Path())  # type: ignore[attr-defined]
    path = FILES / "digits.qdq.onnx"
    system = open_system(path, shape=data.shape, classes=len(data.classes))
    images = data.test.float_images()[:20].requires_grad_()
    system.twin(images).logsumexp(1).sum().backward()
    assert float(images.grad.abs().sum()) > 0


def test_identity_is_the_bytes_of_file_and_parent(tmp_path: Path) -> None:
    path = flat(tmp_path / "net.onnx")
    first = File(path=str(path)).identity()
    assert first == file_hash(path)
    shutil.copyfile(path, tmp_path / "moved.onnx")
    assert File(path=str(tmp_path / "moved.onnx")).identity() == first
    assert File(path=str(path), parent=str(path)).identity() != first
    parent = File(path="net.int8.onnx", parent="net.onnx", scale="byte").of_parent
    assert parent == File(path="net.onnx", scale="byte")
    with pytest.raises(robench.UserError, match="readable file"):
        File(path=str(tmp_path / "nothing.onnx")).identity()


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("model.file.path=", "expected a file, got none"),
        ("model.file.layout=HWC", "expected model.file.layout"),
        ("model.file.mean=[0.5]", "as many std"),
        ("model.file.path=/usr", "expected a file, got the folder /usr; set model.file.path"),
        ("model.file.path=/nothing/net.onnx", "/nothing/net.onnx"),
    ],
)
def test_the_command_line_says_what_is_wrong(
    word: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = "model.file.path=net.onnx"
    words = ["run", "model=file", path, word, f"results={tmp_path}", f"cache={tmp_path}"]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
