from __future__ import annotations

import io
import os
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from robench.base.errors import ConfigError, DataError
from robench.core import source
from robench_data.npz import Npz


def arrays(shape: tuple[int, ...] = (6, 5)) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "x_train": rng.integers(0, 256, (8, *shape), dtype=np.uint8),
        "y_train": np.arange(8) % 4,
        "x_test": rng.integers(0, 256, (4, *shape), dtype=np.uint8),
        "y_test": np.arange(4),
    }


def load(folder: Path, changes: dict[str, Any] | None = None, **options: Any) -> Any:
    path = folder / "my.npz"
    np.savez(path, **(arrays() | (changes or {})))
    return Npz(path=str(path), **options).load(folder)


def test_grey_images_of_three_axes(tmp_path: Path) -> None:
    data = load(tmp_path)
    assert (data.shape, data.classes) == ((1, 6, 5), ("0", "1", "2", "3"))
    assert np.array_equal(data.train.images[:, 0].numpy(), arrays()["x_train"])
    assert list(Npz(path="~/a.npz").files(tmp_path)) == [Path("~/a.npz").expanduser()]


@pytest.mark.parametrize(
    ("shape", "layout", "result"),
    [
        ((6, 5, 3), "auto", (3, 6, 5)),
        ((3, 6, 5), "auto", (3, 6, 5)),
        ((6, 5, 1), "auto", (1, 6, 5)),
        ((3, 6, 3), "nhwc", (3, 3, 6)),
        ((3, 6, 3), "nchw", (3, 6, 3)),
        ((4, 6, 5), "nchw", (4, 6, 5)),
    ],
)
def test_layouts(
    tmp_path: Path, shape: tuple[int, ...], layout: str, result: tuple[int, ...]
) -> None:
    given = arrays(shape)
    data = load(tmp_path, given, layout=layout)
    assert data.shape == result
    if result != shape:
        assert np.array_equal(data.test.images.permute(0, 2, 3, 1).numpy(), given["x_test"])


@pytest.mark.parametrize("shape", [(3, 6, 3), (4, 6, 5)])
def test_ambiguous_layouts_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"set dataset\.npz\.layout=nchw or nhwc"):
        load(tmp_path, arrays(shape))


@settings(
    deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 1000), dtype=st.sampled_from(["float16", "float32", "float64"]))
def test_eight_bit_pixels_survive_as_floats(tmp_path: Path, seed: int, dtype: str) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 6, 5), dtype=np.uint8)
    data = load(tmp_path, {"x_train": (pixels / 255).astype(dtype)})
    assert np.array_equal(data.train.images[:, 0].numpy(), pixels)


def spoiled(value: float) -> np.ndarray:
    images = np.full((4, 6, 5), 0.5)
    images[2, 3, 1] = value
    return images


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_test": spoiled(float("nan"))}, r"x_test in \[0,1\], got nan"),
        ({"x_test": spoiled(float("inf"))}, r"x_test in \[0,1\], got 0\.5\.\.inf"),
        ({"x_test": spoiled(1.5)}, r"got 0\.5\.\.1\.5; rescale"),
        ({"x_test": spoiled(-0.1)}, r"got -0\.1\.\.0\.5; rescale"),
        ({"x_test": np.zeros((4, 6, 5), np.int64)}, "as uint8 or as floats.*int64"),
        ({"x_test": np.zeros((4, 6), np.uint8)}, "3 or 4 axes"),
        ({"x_test": np.zeros((0, 6, 5), np.uint8)}, "got an empty array"),
        ({"x_test": np.zeros((4, 6, 0), np.uint8)}, "got an empty array"),
        ({"x_test": np.zeros((4, 7, 5), np.uint8)}, "of one shape"),
        ({"y_test": np.arange(3)}, "expected 4 int64 labels"),
        ({"y_test": np.zeros(0, np.int64)}, "expected 4 int64 labels"),
        ({"y_test": np.arange(4) - 1}, r"from 0 on .* got -1\.\.2"),
        ({"y_test": np.full(4, 2**40)}, "from 0 on"),
        ({"y_test": np.full(4, 10**9)}, r"below 100000, got 1000000000\.\.1000000000"),
        ({"y_train": np.full(8, 100_000)}, "below 100000"),
        ({"y_test": np.arange(4.0)}, "integers of shape"),
        ({"y_test": np.eye(4, dtype=np.int64)}, "integers of shape"),
        ({"y_test": np.int64(3)}, "integers of shape"),
        ({"y_test": np.array([{}] * 4, dtype=object)}, "plain arrays"),
    ],
)
def test_bad_arrays_are_refused(
    tmp_path: Path, changes: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(DataError, match=message) as error:
        load(tmp_path, changes)
    assert "\n" not in str(error.value)


def test_labels_in_a_column(tmp_path: Path) -> None:
    assert load(tmp_path, {"y_test": np.arange(4)[:, None]}).test.labels.tolist() == [0, 1, 2, 3]


def test_missing_arrays_are_named(tmp_path: Path) -> None:
    path = tmp_path / "my.npz"
    np.savez(path, x_train=np.zeros(3))
    with pytest.raises(DataError, match="got none named y_train, x_test, y_test"):
        Npz(path=str(path)).load(tmp_path)


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "my.npz"
    with pytest.raises(DataError, match=r"my\.npz, got none"):
        Npz(path=str(path)).load(tmp_path)
    np.savez(path, **arrays())
    whole = path.read_bytes()
    for keep in (0, 100, len(whole) // 2, len(whole) - 5):
        path.write_bytes(whole[:keep])
        with pytest.raises(DataError, match="save it again"):
            Npz(path=str(path)).load(tmp_path)


def test_a_header_larger_than_its_array_allocates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "my.npz"
    stream = io.BytesIO()
    header = {"shape": (10**12, 28, 28), "fortran_order": False, "descr": "|u1"}
    np.lib.format.write_array_header_1_0(stream, header)
    with zipfile.ZipFile(path, "w") as archive:
        for key in ("x_train", "y_train", "x_test", "y_test"):
            archive.writestr(f"{key}.npy", stream.getvalue() + b"few")
    with pytest.raises(DataError, match="another size than its header"):
        Npz(path=str(path)).load(tmp_path)


def test_the_largest_number_of_classes(tmp_path: Path) -> None:
    assert len(load(tmp_path, {"y_test": np.full(4, 99_999)}).classes) == 100_000


def test_expanding_files_are_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "my.npz"
    arrays = {"x_train": np.zeros((2**27, 1, 1), np.uint8), "y_train": np.zeros(2**27, np.uint8)}
    np.savez_compressed(path, **arrays, x_test=arrays["x_train"][:2], y_test=arrays["y_train"][:2])
    del arrays
    assert path.stat().st_size < 2**19
    tracemalloc.start()
    with pytest.raises(DataError, match="got a header with 268"):
        Npz(path=str(path)).load(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_compressed_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "my.npz"
    images = np.zeros((2**20, 2, 2), np.uint8)
    labels = np.arange(2**20) // 2**18
    np.savez_compressed(path, x_train=images, y_train=labels, x_test=images, y_test=labels)
    assert len(Npz(path=str(path)).load(tmp_path).train) == 2**20


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_pieces_are_the_whole(
    tmp_path: Path, save: Any, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "my.npz"
    floats = np.random.default_rng(0).random((8, 6, 5, 3), dtype=np.float32)
    changes = {"x_train": np.asarray(floats, order=order), "x_test": floats[:4]}
    save(path, **(arrays() | changes))
    whole = Npz(path=str(path)).load(tmp_path)
    expected = np.rint(floats * 255).astype(np.uint8).transpose(0, 3, 1, 2)
    assert np.array_equal(whole.train.images.numpy(), expected)
    monkeypatch.setattr(source, "PIECE", 3 * 90)
    images = Npz(path=str(path)).source(tmp_path).train.images
    assert images.piece == 3
    assert Npz(path=str(path)).load(tmp_path).hash == whole.hash
    assert np.array_equal(images.of(6, 8).read(), expected[6:])
    assert np.array_equal(images.of(0, 3).read(), expected[:3]), "an earlier one again"


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("pipe", "loop", "."):
        with pytest.raises(DataError, match="expected a"):
            Npz(path=str(tmp_path / name)).load(tmp_path)


def test_what_other_archives_hold_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "my.npz"
    np.savez(path, **arrays())
    content = bytearray(path.read_bytes())
    directory = content.index(b"PK\1\2")
    for offset, value in ((8, 1), (10, 99), (10, 14)):  # encrypted; an unknown method; LZMA
        changed = content.copy()
        changed[directory + offset] = value
        path.write_bytes(changed)
        with pytest.raises(DataError, match="save it again") as error:
            Npz(path=str(path)).load(tmp_path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [({}, r"set dataset\.npz\.path"), ({"path": "x", "layout": "hwc"}, "nchw, nhwc, got 'hwc'")],
)
def test_wrong_options(options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Npz(**options)
