"""A JSON file that begins with the SHA-256 of the rest: what was cut short or edited is nothing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from robench.base.files import write_whole


def read_sealed(path: Path) -> Any:
    """What `write_sealed` wrote; None of a file that is missing or not what was written."""
    try:
        seal, _, data = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    return json.loads(data) if seal == _seal(data) else None


def write_sealed(path: Path, value: Any) -> None:
    """Write a JSON-like value, whole or not at all; raises OSError when the disk refuses."""
    data = json.dumps(value, separators=(",", ":")).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, _seal(data) + b"\n" + data)


def _seal(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()
