"""Examples from anywhere: whatever the archive holds, one line says why it is not taken."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from robench.base.errors import UserError
from robench.records.examples import header, load_examples

CLEAN = torch.zeros(100, 1, 8, 8, dtype=torch.uint8)
FINE = "{'descr': '|u1', 'fortran_order': False, 'shape': (100, 1, 8, 8), }"


def array(text: str, length: int | None = None) -> bytes:
    """The bytes of 100 images below a header of this text, which may lie about its length."""
    head = text.encode() + b"\n"
    size = struct.pack("<I", len(head) if length is None else length)
    return b"\x93NUMPY\x02\x00" + size + head + bytes(6400)


def archive(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("row0.npy", content)
    return file.getvalue()


def with_header(text: str) -> bytes:
    return archive(array(text))


def patched(local: int, central: int, value: int) -> bytes:
    """A sound archive whose two headers have another field of two bytes."""
    data = bytearray(archive(array(FINE)))
    at = data.index(b"PK\x01\x02")
    data[local : local + 2] = data[at + central : at + central + 2] = struct.pack("<H", value)
    return bytes(data)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "an open bracket": lambda: with_header("{'descr': ("),
    "brackets": lambda: with_header("(" * 5000),
    "minus": lambda: with_header("-" * 9000 + "1"),
    "powers": lambda: with_header("{" * 150 + "1" + "}" * 150),
    "not text": lambda: with_header("\x00"),
    "a shape of truth": lambda: with_header(FINE.replace("1, 8, 8", "True, 8, 8")),
    "a negative shape": lambda: with_header(FINE.replace("100", "-100")),
    "objects": lambda: with_header(FINE.replace("|u1", "|O")),
    "a type of hidden letters": lambda: with_header(FINE.replace("'|u1'", "[('\x1b[2J', 'u1')]")),
    "a header of gigabytes": lambda: archive(array(FINE, 2**32 - 1)),
    "another version": lambda: archive(array(FINE).replace(b"NUMPY\x02", b"NUMPY\x09")),
    "encrypted": lambda: patched(6, 8, 1),
    "an unknown compression": lambda: patched(8, 10, 99),
    "cut": lambda: archive(array(FINE))[:-30],
    "fewer pixels": lambda: archive(array(FINE)[:-1]),
    "nothing": lambda: b"",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_is_bad_input(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "examples.npz"
    path.write_bytes(HOSTILE[kind]())
    with pytest.raises(UserError) as found:
        load_examples(path, "row0", CLEAN)
    assert len(str(found.value)) < 500
    assert "\x1b" not in str(found.value)


@pytest.mark.parametrize("kind", ["an open bracket", "brackets", "minus", "encrypted", "nothing"])
def test_so_is_its_header_alone(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "examples.npz"
    path.write_bytes(HOSTILE[kind]())
    with pytest.raises(UserError):
        header(path, "row0")


def test_a_sound_archive_is_read(tmp_path: Path) -> None:
    path = tmp_path / "examples.npz"
    path.write_bytes(archive(array(FINE)))
    assert load_examples(path, "row0", CLEAN).shape == CLEAN.shape
    assert header(path, "row0") == ((100, 1, 8, 8), "uint8")
    assert header(path, "row1") is None
    np.savez(path, row0=np.full((100, 1, 8, 8), 255, np.uint8))
    assert load_examples(path, "row0", CLEAN + 2).max() == 1 / 255
    with pytest.raises(UserError, match="expected examples named row0"):
        load_examples(tmp_path / "none.npz", "row0", CLEAN)
