"""What a file is and how large is settled before it is read."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from robench.base.errors import UserError
from robench.base.files import (
    array_names,
    folders_with,
    open_plain,
    read_picture,
    read_plain,
    require_plain,
)


def test_a_file_comes_back_and_a_larger_one_does_not(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    assert read_plain(path, 5) == b"12345"
    with pytest.raises(UserError, match="at most 4 bytes in x, got 5"):
        read_plain(path, 4)
    with pytest.raises(FileNotFoundError):
        read_plain(tmp_path / "none", 4)


def test_pipes_and_devices_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to("/dev/zero")
    for name in ("pipe", "null", "."):
        with pytest.raises(UserError, match="expected plain files"):
            open_plain(tmp_path / name, 100)


def test_a_link_is_read_but_is_no_plain_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"1")
    (tmp_path / "link").symlink_to(tmp_path / "x")
    assert read_plain(tmp_path / "link", 9) == b"1"
    with pytest.raises(UserError, match="link 'link'"):
        require_plain(tmp_path / "link")


def test_archives_are_looked_at_unexpanded(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez_compressed(path, row0=np.zeros(9), row1=np.ones(9))
    array_names(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("notes.txt", "x")
    with pytest.raises(UserError, match="arrays, each once"):
        array_names(path)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(UserError, match="archive of arrays"):
        array_names(path)


def test_pictures_are_looked_at_undrawn(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.new("RGBA", (30, 20)).save(path)
    assert read_picture(path, 10_000) == path.read_bytes()
    data = path.read_bytes()
    path.write_bytes(data[:16] + (2**31 - 1).to_bytes(4, "big") + data[20:])
    with pytest.raises(UserError, match="got 2147483647 x 20"):
        read_picture(path, 10_000)
    path.write_bytes(b"GIF89a")
    with pytest.raises(UserError, match="expected a PNG"):
        read_picture(path, 10_000)


def test_folders_are_found_to_a_depth(tmp_path: Path) -> None:
    for name in ("a", "a/b", "a/b/c", ".hidden"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "r").touch()
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    found = {
        path.relative_to(tmp_path).as_posix(): sorted(entry.name for entry in entries)
        for path, entries in folders_with(tmp_path, "r", 2)
    }
    assert found == {"a": ["b", "r", "up"], "a/b": ["c", "r"]}
