"""A JSON file that begins with the SHA-256 of its name and the rest: what was cut short, edited or
put under another name is nothing."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from robench.base.errors import UserError
from robench.base.files import keep_plain, open_plain, write_whole
from robench.base.hashing import is_hash

MAX_BYTES = 2**30
"""Bytes of such a file at most: of a million folders it takes a third of these."""
SEAL = 64


def read_sealed(path: Path) -> Any:
    """What `write_sealed` wrote; None of a file that is missing or not what was written.

    What is no plain file is deleted.
    """
    if not keep_plain(path):
        return None
    try:
        with open_plain(path, MAX_BYTES) as file:
            seal = file.read(SEAL).decode("ascii", "replace")
            # Of a hole in a disk there is nothing to read any more.
            data = file.read() if is_hash(seal) else b""
    except (OSError, UserError):
        return None
    return json.loads(data) if seal == _seal(path, data) else None


def write_sealed(path: Path, value: Any) -> None:
    """Write a JSON-like value, whole or not at all; raises OSError when the disk refuses."""
    data = json.dumps(value, separators=(",", ":")).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    keep_plain(path)
    write_whole(path, _seal(path, data).encode() + data)


def _seal(path: Path, data: bytes) -> str:
    return hashlib.sha256(os.fsencode(path.name) + b"/" + data).hexdigest()
