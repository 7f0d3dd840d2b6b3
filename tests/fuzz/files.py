"""Mutated data files through their readers: a data set, pictures or weights, or one clear error."""

from __future__ import annotations

import gzip
import io
import random
import struct
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save

from robench.base.errors import UserError
from robench.core.weights import read_tensors
from robench_data.idx import read_idx
from robench_data.images import Decoding, Pictures
from robench_data.npz import Npz
from tests.fuzz.limits import more_memory, seconds_of_work
from tests.fuzz.programs import Tally, until

WORK = 5.0
"""Seconds of work that reading one small file may take."""
MEMORY = 1024
"""Megabytes that reading one small file may take: four bytes for each pixel of the largest picture,
twice over, and what libraries load on their first use."""


def fuzz_files(seed: int, folder: Path, *, seconds: float = 1e9, count: int = 10**9) -> Tally:
    """Each reader in turn gets a changed file of its kind."""
    rng, tally, start = random.Random(seed), Tally(seed), time.monotonic()
    files = examples()
    warmed = {name: read(folder, name, content) for name, content in files}
    assert len(warmed) == len(files)
    for place in until(seconds, count):
        name, content = files[place % len(files)]
        hostile = changed(content, rng)
        tally.tried += 1
        try:
            with seconds_of_work(WORK), more_memory(MEMORY):
                read(folder, name, hostile)
        except UserError as error:
            if "\n" in str(error):
                tally.failures.append((f"{name}: more than a line: {error}"[:200], hostile))
            continue
        except Exception as error:  # what the fuzzer looks for
            tally.failures.append((f"{name}: {error!r}"[:200], hostile))
            continue
        tally.accepted += 1
    tally.seconds = time.monotonic() - start
    return tally


def read(folder: Path, name: str, content: bytes) -> None:
    """Read a file by the reader of its kind."""
    path = folder / name
    path.write_bytes(content)
    readers: dict[str, Callable[[], object]] = {
        ".npz": lambda: Npz(path=str(path)).load(folder),
        ".gz": lambda: read_idx(path, 3),
        ".idx": lambda: read_idx(path, 3),
        ".pt": lambda: read_tensors(path),
        ".safetensors": lambda: read_tensors(path),
    }
    with warnings.catch_warnings(action="ignore"):
        readers.get(path.suffix, lambda: Pictures([path], Decoding(16, 16)).read())()


def examples() -> list[tuple[str, bytes]]:
    """A small good file of each kind."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (24, 20, 3), np.uint8)
    files = [(f"{kind}.{kind}", _saved(Image.fromarray(noise), kind)) for kind in KINDS]
    files.append(("deep.png", _saved(Image.fromarray(rng.integers(0, 2**16, (9, 9), "u2")), "png")))
    files.append(("palette.png", _saved(Image.fromarray(noise).quantize(16), "png")))
    files.append(("lzw.tif", _saved(Image.fromarray(noise), "tiff", compression="tiff_lzw")))
    files.append(("jpeg.tif", _saved(Image.fromarray(noise), "tiff", compression="jpeg")))
    idx = struct.pack(">HBBIII", 0, 8, 3, 5, 4, 4) + bytes(80)
    files += [("images.idx", idx), ("images.gz", gzip.compress(idx))]
    for save_arrays in (np.savez, np.savez_compressed):
        stream = io.BytesIO()
        images, labels = rng.integers(0, 256, (8, 6, 5), np.uint8), np.arange(8) % 4
        save_arrays(stream, x_train=images, y_train=labels, x_test=images, y_test=labels)
        files.append((f"{save_arrays.__name__}.npz", stream.getvalue()))
    state = {"weight": torch.zeros(5, 4), "bias": torch.zeros(5)}
    files.append(("w.safetensors", save(state)))
    for modern in (False, True):
        stream = io.BytesIO()
        torch.save(state, stream, _use_new_zipfile_serialization=modern)
        files.append((f"w{modern}.pt", stream.getvalue()))
    return files


KINDS = ("jpeg", "png", "bmp", "ppm", "webp", "tiff")


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def changed(content: bytes, rng: random.Random) -> bytes:
    """A few bytes, numbers or lengths changed; checksums of zips and PNGs right, often."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(rng.choice((min(len(data), 100), len(data))) or 1)
        how = rng.randrange(5)
        if how == 0:
            data[at : at + 1] = bytes([rng.randrange(256)])
        elif how == 1:
            data[at : at + rng.randrange(5)] = rng.randbytes(rng.randrange(5))
        elif how == 2:
            form = rng.choice(("<I", ">I", "<H", ">H", "<Q"))
            number = rng.choice((0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**62))
            size = struct.calcsize(form)
            data[at : at + size] = struct.pack(form, number % 2 ** (8 * size))
        elif how == 3:
            data[-at:] = b""
        else:  # digits stand for sizes in the headers of arrays and of safetensors
            digits = [place for place, byte in enumerate(data) if 48 <= byte < 58]
            if digits:
                place = rng.choice(digits)
                data[place : place + 1] = rng.choice((b"0", b"9", b"99999999", b"-1", b"1e9"))
    return _resealed(bytes(data)) if rng.random() < 0.8 else bytes(data)


def _resealed(data: bytes) -> bytes:
    if data.startswith(b"\x89PNG"):
        return _png(data)
    if data.startswith(b"PK"):
        return _zip(data)
    return data


def _png(data: bytes) -> bytes:
    out, at = bytearray(data[:8]), 8
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        inside = data[at + 4 : at + 8 + size]
        out += data[at : at + 4] + inside + struct.pack(">I", zlib.crc32(inside))
        at += 12 + size
    return bytes(out + data[at:])


def _zip(data: bytes) -> bytes:
    """The archive's members with checksums that fit them, where it can still be opened."""
    stream = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w") as new:
            for info in old.infolist():
                start = info.header_offset + 30 + len(info.filename)
                method = zipfile.ZIP_STORED if info.compress_type == 0 else zipfile.ZIP_DEFLATED
                inside = data[start : start + info.compress_size]
                if method == zipfile.ZIP_DEFLATED:
                    inside = zlib.decompressobj(-15).decompress(inside, 2**20)
                new.writestr(info.filename, inside, method)
    except Exception:  # too damaged to be mended
        return data
    return stream.getvalue()
