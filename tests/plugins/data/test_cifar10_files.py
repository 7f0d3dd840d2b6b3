from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from robench.base.errors import DataError
from robench_data import cifar10
from robench_data.cifar10 import CIFAR10

IMAGES = 20


class Executed(Exception):
    """Raised by the hostile pickle when somebody opens it."""


class Hostile:
    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("raise __import__('test_cifar10_files').Executed",)


@pytest.fixture(autouse=True)
def _small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar10, "RECORDS", IMAGES)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in (*cifar10.TRAIN, *cifar10.TEST):
        records = rng.integers(0, 256, (IMAGES, 3073), dtype=np.uint8)
        records[:, 0] = np.arange(IMAGES) % 10
        records[0, 1:1025], records[0, 1025:2049], records[0, 2049:] = 10, 20, 30
        (folder / name).write_bytes(records.tobytes())
    return tmp_path


def test_reads_the_binary_release(root: Path) -> None:
    data = CIFAR10().load(root)
    assert (len(data.train), len(data.test), data.shape) == (5 * IMAGES, IMAGES, (3, 32, 32))
    assert data.test.images[0].flatten(1).unique(dim=1).flatten().tolist() == [10, 20, 30]
    assert data.test.labels[:11].tolist() == [*range(10), 0]
    assert len(list(CIFAR10().files(root))) == 6
    assert data.hash == CIFAR10().load(root).hash


@pytest.mark.parametrize("size", [0, 3073 * (IMAGES - 1), 3073 * IMAGES - 1, 3073 * IMAGES + 1])
def test_files_of_another_size_are_refused(root: Path, size: int) -> None:
    path = root / "cifar-10-batches-bin" / "data_batch_3.bin"
    path.write_bytes((path.read_bytes() + b"x")[:size])
    with pytest.raises(DataError, match=rf"data_batch_3\.bin, got {size}; remove"):
        CIFAR10().load(root)


def test_a_label_out_of_range_is_refused(root: Path) -> None:
    path = root / "cifar-10-batches-bin" / "test_batch.bin"
    path.write_bytes(b"\x0b" + path.read_bytes()[1:])
    with pytest.raises(DataError, match=r"test labels in 0\.\.9, got 0\.\.11"):
        CIFAR10().load(root)


def test_without_files_and_network_the_message_names_them(
    tmp_path: Path, no_network: list[str]
) -> None:
    with pytest.raises(DataError, match=r"data_batch_1\.bin.*cifar-10-batches-bin.*ROBENCH_DATA"):
        CIFAR10().load(tmp_path)
    assert no_network == [cifar10.URL]
    assert list(CIFAR10().files(tmp_path)) == []


def test_a_python_release_with_other_sums_is_not_unpickled(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    names = [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch", "batches.meta"]
    for name in names:
        (folder / name).write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(DataError, match="they are pickles; remove the folder"):
        CIFAR10().load(tmp_path)
    assert len(list(CIFAR10().files(tmp_path))) == 6


def test_a_python_release_is_read_once_its_sums_match(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import CIFAR10 as Torchvision
    from torchvision.datasets.utils import calculate_md5

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, _ in Torchvision.train_list + Torchvision.test_list:
        batch = {"data": rng.integers(0, 256, (4, 3072), dtype=np.uint8), "labels": [0, 3, 9, 1]}
        (folder / name).write_bytes(pickle.dumps(batch))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list(cifar10.CLASSES)}))
    for attribute in ("train_list", "test_list"):
        published = getattr(Torchvision, attribute)
        ours = [(name, calculate_md5(folder / name)) for name, _ in published]
        monkeypatch.setattr(Torchvision, attribute, ours)
    meta = Torchvision.meta | {"md5": calculate_md5(folder / "batches.meta")}
    monkeypatch.setattr(Torchvision, "meta", meta)
    data = CIFAR10().load(tmp_path)
    assert (len(data.train), len(data.test)) == (20, 4)
    stored = pickle.loads((folder / "test_batch").read_bytes())["data"]
    assert torch.equal(data.test.images.flatten(1), torch.from_numpy(stored))


def test_the_real_cifar10(data_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar10, "RECORDS", 10_000)
    data = CIFAR10().load(data_root)
    assert (len(data.train), len(data.test)) == (50_000, 10_000)
    assert torch.bincount(data.test.labels).tolist() == [1000] * 10
    # The mean that is usually published with the set: 0.4914, 0.4822, 0.4465.
    mean = data.train.float_images().mean((0, 2, 3))
    assert mean.tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=1e-4)
