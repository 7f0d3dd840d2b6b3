"""Files from anywhere: what they are and how large is settled before anything of them is read."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from robench.base.errors import UserError, bad_input
from robench.base.text import shortened

MAX_NAME, MAX_PATH = 255, 3_900
"""Bytes of a file's name, and of a folder's whole path, at most: what lies below needs some."""
MAX_ARCHIVE = 2**30
"""Bytes of an archive at most, as it lies on the disk."""
MAX_ARRAYS = 4_096
"""Arrays in an archive at most."""
MAX_EXPANDED = 4 * 2**30
"""Bytes of an archive's arrays at most, expanded."""
MAX_PIXELS = 2**22
"""Pixels of a picture at most: each takes some twenty bytes while it is drawn anew."""
PARTIAL, OLD = ".partial", ".old"
"""How the names end of what a writer has not finished with, and of what it replaced."""
About = tuple[int, ...]
PNG = b"\x89PNG\r\n\x1a\n"


def open_plain(path: Path, most: int) -> BinaryIO:
    """Open a file, or what a link leads to, of at most `most` bytes; the caller closes it.

    Raises UserError for a folder, a pipe, a device or a larger file, before reading from it;
    OSError when there is none.
    """
    _require_file(os.stat(path).st_mode, path)
    # What was a file may be a pipe by now, which would wait for a writer.
    file = os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb")
    about = os.fstat(file.fileno())
    if not stat.S_ISREG(about.st_mode) or about.st_size > most:
        file.close()
        raise UserError(f"expected at most {most} bytes in {path.name}, got {about.st_size}")
    return file


def read_plain(path: Path, most: int) -> bytes:
    """The bytes of a plain file; raises like `open_plain`."""
    with open_plain(path, most) as file:
        # Room for all that may come takes longer to find than what is there to read.
        return file.read(os.fstat(file.fileno()).st_size + 1)


def has_file(folder: Path, name: str) -> bool:
    """Whether a folder holds a file of this name, or a link to one; quicker than a path's own."""
    return os.path.isfile(os.path.join(folder, name))


def about_file(path: Path) -> About:
    """What the disk says of a file, another one after every change; raises OSError for none."""
    about = os.stat(path)
    return about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns


def require_plain(path: Path | os.DirEntry[str]) -> None:
    """Raise UserError for what is no plain file, links included; OSError for nothing."""
    _require_file(os.lstat(path).st_mode, path)


def keep_plain(path: Path) -> bool:
    """Whether a plain file stands at a path; whatever else does is deleted, as far as it may be."""
    try:
        require_plain(path)
    except FileNotFoundError:
        return False
    except (UserError, OSError):
        with suppress(OSError):
            remove(path)
        return False
    return True


def remove(path: Path) -> None:
    """Delete a file or link, or a folder with all that is in it; raises OSError."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def require_short(path: Path, option: str) -> None:
    """Raise UserError for a path that no file system can hold; `option` is what named it."""
    names = [len(os.fsencode(part)) for part in path.parts]
    if max(names, default=0) > MAX_NAME or sum(names) + len(names) > MAX_PATH:
        raise UserError(
            f"expected {option} to be a path of names of at most {MAX_NAME} bytes, {MAX_PATH} in "
            f"all, got {shortened(str(path))!r}"
        )


def require_writable(folder: Path, option: str) -> None:
    """Raise UserError unless `folder` is one to write into, or can be made; leaves nothing.

    `option` is what named it on the command line, such as `--out`.
    """
    require_short(folder, option)
    near = folder
    while not os.path.lexists(near) and near != near.parent:
        near = near.parent
    if not near.is_dir():
        fault = f"{str(near)!r} is no folder"
    elif not os.access(near, os.W_OK | os.X_OK):
        fault = f"{str(near)!r} may not be written"
    elif near == folder or not (why := _makes_no_folder(near)):
        return
    else:
        fault = f"{str(near)!r} takes no folder ({why})"
    raise UserError(
        f"expected {option} to name a folder to write into, got {str(folder)!r}: {fault}; "
        f"set {option} to another folder"
    )


def _makes_no_folder(near: Path) -> str:
    """What the system says to a new folder in this one; nothing where it makes it.

    Only trying tells: what may be written by its mode may be of a file system that takes nothing.
    """
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".", suffix=PARTIAL, dir=near))
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""


def _require_file(mode: int, path: Path | os.DirEntry[str]) -> None:
    if not stat.S_ISREG(mode):
        raise UserError(f"expected plain files, got the {_kind(mode)} {path.name!r}")


def _kind(mode: int) -> str:
    kinds = {stat.S_IFLNK: "link", stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe"}
    return kinds.get(stat.S_IFMT(mode), "device or socket")


# -- writing ---------------------------------------------------------------------------------------


def work_beside(path: Path) -> Path:
    """Where to write what becomes `path` once it is whole: a name that no other writer has.

    Not by the process's number: containers that share a folder have the same.
    """
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}{PARTIAL}")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under a name of its own, down to the disk, and rename it: whole or not at all.

    Raises OSError; then nothing of it is left.
    """
    work = work_beside(path)
    try:
        work.write_bytes(data)
        settle(work)
        work.replace(path)
    except BaseException:
        with suppress(OSError):
            work.unlink(missing_ok=True)
        raise


def settle(path: Path) -> None:
    """Bring a file, or what a folder names, down to the disk: what a power cut must not undo."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


# -- archives of arrays ----------------------------------------------------------------------------


def array_names(path: Path) -> set[str]:
    """The names of an .npz file's arrays, from its directory alone: few, plain, none encrypted.

    Raises UserError when they would expand to more than MAX_EXPANDED bytes, or it is no archive.
    """
    return set(_array_names(path, about_file(path)))


@lru_cache(64)
def _array_names(path: Path, about: About) -> set[str]:
    """A record's form and its rows ask for the same names, one after the other."""
    with open_plain(path, MAX_ARCHIVE) as file:
        found = _members(file, path)
    names = [one.filename for one in found]
    plain = all(name.isascii() and name.endswith(".npy") and "/" not in name for name in names)
    if len(found) > MAX_ARRAYS or len(set(names)) != len(names) or not plain:
        raise UserError(f"expected at most {MAX_ARRAYS} arrays, each once, in {path.name}")
    if any(one.flag_bits & 1 for one in found):
        raise UserError(f"expected an archive that is not encrypted in {path.name}")
    if (size := sum(one.file_size for one in found)) > MAX_EXPANDED:
        raise UserError(
            f"expected at most {MAX_EXPANDED} bytes of arrays in {path.name}, got {size}"
        )
    return {name.removesuffix(".npy") for name in names}


def _members(file: BinaryIO, path: Path) -> list[zipfile.ZipInfo]:
    expected = f"expected an archive of arrays in {path.name}"
    with bad_input(expected), zipfile.ZipFile(file) as archive:
        return archive.infolist()


# -- pictures --------------------------------------------------------------------------------------


def read_picture(path: Path, most: int) -> bytes:
    """The bytes of a PNG or lossless WebP of at most MAX_PIXELS pixels.

    Raises UserError for anything else.
    """
    data = read_plain(path, most)
    if data.startswith(PNG) and data[12:16] == b"IHDR" and len(data) >= 33:
        width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    elif data[:4] == b"RIFF" and data[8:16] == b"WEBPVP8L" and len(data) >= 25:
        # Both sizes less one, in 14 bits each.
        sizes = int.from_bytes(data[21:25], "little")
        width, height = (sizes & 0x3FFF) + 1, (sizes >> 14 & 0x3FFF) + 1
    else:
        raise UserError(f"expected a PNG or WebP of at most {most} bytes in {path.name}")
    if not 0 < width * height <= MAX_PIXELS:
        raise UserError(
            f"expected at most {MAX_PIXELS} pixels in {path.name}, got {width} x {height}"
        )
    return data


# -- folders ---------------------------------------------------------------------------------------


def folders_with(root: Path, name: str, deep: int) -> Iterator[tuple[Path, list[os.DirEntry[str]]]]:
    """Folders below `root` (itself included) that hold something of this name, at most so deep,
    each with what lies in it.

    Links are not followed and hidden folders not entered; a folder that cannot be read is given
    too, as an empty one, so that it is named.
    """
    waiting = [(str(root), 0)]
    while waiting:
        folder, depth = waiting.pop()
        try:
            with os.scandir(folder) as found:
                entries = list(found)
        except OSError:
            yield Path(folder), []
            continue
        if name in [entry.name for entry in entries]:
            yield Path(folder), entries
        if depth < deep:
            waiting += [
                (entry.path, depth + 1)
                for entry in entries
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
            ]
