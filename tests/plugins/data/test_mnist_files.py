from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from robench.base.errors import DataError
from robench_data.idx import read_idx
from robench_data.mnist import MNIST


def idx(array: np.ndarray) -> bytes:
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "train-images-idx3-ubyte": rng.integers(0, 256, (20, 28, 28)),
        "train-labels-idx1-ubyte": np.arange(20) % 10,
        "t10k-images-idx3-ubyte": rng.integers(0, 256, (10, 28, 28)),
        "t10k-labels-idx1-ubyte": np.arange(10),
    }


@pytest.fixture
def root(tmp_path: Path, arrays: dict[str, np.ndarray]) -> Path:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, array in arrays.items():
        (raw / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
    return tmp_path


def test_reads_gzipped_files(root: Path, arrays: dict[str, np.ndarray]) -> None:
    data = MNIST().load(root)
    assert data.shape == (1, 28, 28)
    assert np.array_equal(data.train.images[:, 0].numpy(), arrays["train-images-idx3-ubyte"])
    assert data.test.labels.tolist() == list(range(10))
    assert [p.name for p in MNIST().files(root)] == [f"{name}.gz" for name in arrays]


def test_plain_files_give_the_same_data(root: Path, arrays: dict[str, np.ndarray]) -> None:
    zipped = MNIST().load(root).hash
    for name, array in arrays.items():
        (root / "MNIST" / "raw" / f"{name}.gz").unlink()
        (root / "MNIST" / "raw" / name).write_bytes(idx(array))
    assert MNIST().load(root).hash == zipped
    assert [p.name for p in MNIST().files(root)] == list(arrays)


def test_without_files_and_network_the_message_names_them(
    tmp_path: Path, no_network: list[str]
) -> None:
    with pytest.raises(
        DataError, match=r"train-images-idx3-ubyte\.gz.*MNIST/raw.*ROBENCH_DATA"
    ) as e:
        MNIST().load(tmp_path)
    assert "\n" not in str(e.value)
    assert len(no_network) >= 1


def test_a_read_only_data_root_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="expected train-images"):
        MNIST().load(tmp_path / "file")


def test_one_missing_file_is_downloaded_or_named(root: Path, no_network: list[str]) -> None:
    (root / "MNIST" / "raw" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match="no route to host"):
        MNIST().load(root)


@pytest.mark.parametrize("keep", [0, 3, 10, 200, -1])
def test_truncated_files_are_refused(tmp_path: Path, keep: int) -> None:
    whole = idx(np.zeros((4, 8, 8)))
    path = tmp_path / "images"
    path.write_bytes(whole[:keep])
    with pytest.raises(DataError, match=r"images.*remove it"):
        read_idx(path, 3)


def test_a_truncated_gzip_is_refused(root: Path) -> None:
    path = root / "MNIST" / "raw" / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="whole idx file"):
        MNIST().load(root)


def test_bytes_beyond_the_header_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.write_bytes(idx(np.zeros((4, 8, 8))) + b"x")
    with pytest.raises(DataError, match="got more"):
        read_idx(path, 3)


def test_an_enormous_header_allocates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    header = struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1)
    path.write_bytes(gzip.compress(header))
    with pytest.raises(DataError, match="expected at most"):
        read_idx(path, 3)


def test_labels_in_place_of_images_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.write_bytes(idx(np.zeros(5)))
    with pytest.raises(DataError, match=r"3 dimensions.*00000801"):
        read_idx(path, 3)


def test_labels_out_of_range_are_refused(root: Path) -> None:
    path = root / "MNIST" / "raw" / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(idx(np.arange(10) + 1)))
    with pytest.raises(DataError, match=r"test labels in 0\.\.9, got 1\.\.10"):
        MNIST().load(root)


def test_the_real_mnist(data_root: Path) -> None:
    data = MNIST().load(data_root)
    assert (len(data.train), len(data.test)) == (60_000, 10_000)
    # Facts of the published set: class counts of the test images, and mean and deviation
    # (0.1307, 0.3081) of the training pixels.
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert torch.bincount(data.test.labels).tolist() == counts
    pixels = data.train.float_images()
    assert pixels.mean().item() == pytest.approx(0.1307, abs=1e-4)
    assert pixels.std().item() == pytest.approx(0.3081, abs=1e-4)
