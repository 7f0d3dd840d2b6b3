"""Pictures that are not plain RGB: converted as the documentation says, or refused by name."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import functional as F

from robench.base.errors import DataError
from robench_data.images import MAX_PIXELS, Decoding, Pictures, listing


def read(path: Path) -> np.ndarray:
    """(3, 8, 8) of a picture of 8 x 8 pixels."""
    return Pictures([path], Decoding(8, 8)).read()[0]


def ramp(kind: str, top: int) -> np.ndarray:
    return np.linspace(0, top, 64).astype(kind).reshape(8, 8)


@pytest.mark.parametrize("name", ["x.png", "x.tif", "x.pgm"])
def test_16_bit_grey_keeps_the_upper_8(tmp_path: Path, name: str) -> None:
    deep = ramp("u2", 65535)
    Image.fromarray(deep).save(tmp_path / name)
    assert np.array_equal(read(tmp_path / name), np.broadcast_to(deep >> 8, (3, 8, 8)))


def test_big_endian_16_bit_grey(tmp_path: Path) -> None:
    deep = ramp(">u2", 65535)
    image = Image.frombytes("I;16B", (8, 8), deep.tobytes())
    image.save(tmp_path / "x.tif")
    assert np.array_equal(read(tmp_path / "x.tif")[0], deep >> 8)


@pytest.mark.parametrize("transparent", [False, True])
def test_palettes_become_their_colours(tmp_path: Path, transparent: bool) -> None:
    image = Image.new("P", (8, 8))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([0, 1] * 32)
    options = {"transparency": bytes([0, 128])} if transparent else {}
    image.save(tmp_path / "x.png", **options)
    pixels = read(tmp_path / "x.png")
    assert pixels[:, 0, 0].tolist() == [10, 20, 30]
    assert pixels[:, 0, 1].tolist() == [200, 100, 50]


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("RGBA", (9, 8, 7, 0), [9, 8, 7]),
        ("LA", (5, 100), [5] * 3),
        ("1", 1, [255] * 3),
        ("L", 77, [77] * 3),
    ],
)
def test_transparency_is_left_out(
    tmp_path: Path, mode: str, colour: object, expected: list[int]
) -> None:
    Image.new(mode, (8, 8), colour).save(tmp_path / "x.png")
    assert read(tmp_path / "x.png")[:, 3, 3].tolist() == expected


def test_a_preview_beside_a_photograph_is_left_out(tmp_path: Path) -> None:
    photo, preview = Image.new("RGB", (8, 8), (90, 90, 90)), Image.new("RGB", (4, 4))
    photo.save(tmp_path / "x.jpg", format="MPO", save_all=True, append_images=[preview])
    assert np.abs(read(tmp_path / "x.jpg").astype(int) - 90).max() < 3


def nan(path: Path) -> None:
    Image.fromarray(np.full((8, 8), np.nan, np.float32)).save(path)


def deep(path: Path) -> None:
    Image.fromarray(np.full((8, 8), 2**20, np.int32)).save(path)


def inks(path: Path) -> None:
    Image.new("CMYK", (8, 8), (1, 2, 3, 4)).save(path)


def frames(path: Path) -> None:
    others = [Image.new("RGB", (8, 8), (place, 9, 9)) for place in (1, 2)]
    Image.new("RGB", (8, 8)).save(path, save_all=True, append_images=others)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def huge(path: Path) -> None:
    """A PNG of 13,000 x 13,000 pixels of one bit."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 13000, 13000, 1, 0, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(bytes(1626 * 13000)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b""))


def larger(path: Path) -> None:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2**30, 2**30, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IEND", b""))


@pytest.mark.parametrize(
    ("make", "name", "reason"),
    [
        (nan, "x.tif", "colours of mode F"),
        (deep, "x.tif", "colours of mode I,"),
        (inks, "x.jpg", "colours of mode CMYK"),
        (inks, "x.tif", "colours of mode CMYK"),
        (frames, "x.tif", "several frames"),
        (frames, "x.png", "several frames"),
        (frames, "x.webp", "several frames"),
        (huge, "x.png", f"13000 x 13000 pixels, more than {MAX_PIXELS}"),
        (larger, "x.png", "pixels"),
        (Path.mkdir, "x.png", "a folder"),
        (os.mkfifo, "x.png", "a pipe"),
        (lambda path: path.symlink_to(path), "x.png", "link"),
        (lambda path: path.symlink_to("/dev/zero"), "x.png", "a pipe"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_what_is_no_picture_is_named(tmp_path: Path, make: object, name: str, reason: str) -> None:
    make(tmp_path / name)
    with pytest.raises(DataError, match=rf"{name}, got .*{reason}.*replace or remove it") as error:
        read(tmp_path / name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.webp", "x.tif", "x.bmp"])
def test_truncated_pictures_are_named(tmp_path: Path, name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    path = tmp_path / name
    Image.fromarray(noise).save(path)
    assert read(path).shape == (3, 8, 8)
    whole = path.read_bytes()
    for keep in (0, 1, 10, len(whole) // 2):
        path.write_bytes(whole[:keep])
        with pytest.raises(DataError, match=name):
            read(path)


@pytest.mark.parametrize("shorter", [8, 20])
@pytest.mark.parametrize("size", [(8, 8), (31, 20), (20, 33), (64, 9), (21, 21), (500, 375)])
def test_pixels_are_torchvisions(tmp_path: Path, size: tuple[int, int], shorter: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "x.png")
    expected = F.pil_to_tensor(F.center_crop(F.resize(Image.fromarray(noise), shorter), 8))
    pixels = Pictures([tmp_path / "x.png"], Decoding(shorter, 8)).read()[0]
    assert np.array_equal(pixels, expected.numpy())


def test_the_orientation_that_a_camera_noted_is_not_followed(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.fromarray(pixels).save(tmp_path / "x.png", exif=exif)
    assert np.array_equal(read(tmp_path / "x.png")[0], pixels[:, :, 0])


def test_inks_are_mixed_where_asked(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 0, 0, 55)).save(tmp_path / "x.tif")
    pixels = Pictures([tmp_path / "x.tif"], Decoding(8, 8, inks=True)).read()
    assert np.abs(pixels.astype(int) - 200).max() <= 1


def test_loops_among_folders_are_no_classes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "a" / "1.png")
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    assert listing(tmp_path) == {"a": [tmp_path / "a" / "1.png"]}
