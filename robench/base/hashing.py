"""Hashes of plain values."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

PIECE = 2**16
"""Bytes of a file that are hashed at once."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


def digest(value: Any) -> str:
    """SHA-256 of a JSON-like value or dataclass, 16 hexadecimal digits; keys in any order."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]


def canonical(value: Any) -> str:
    """The one JSON text of a value; raises TypeError for what JSON cannot hold, NaN included."""
    try:
        return _JSON.encode(value)
    except ValueError as error:
        raise TypeError(f"expected finite numbers, got {value!r}") from error


def plain_options(component: Any) -> dict[str, Any]:
    """A dataclass's fields, plain; what was handed over in Python (metadata plain=False) is not."""
    kept = [f.name for f in fields(component) if f.metadata.get("plain", True)]
    return {name: plain(getattr(component, name)) for name in kept}


def plain(value: Any) -> Any:
    """The JSON-like form of an option: an Enum's name, a path's text, a dataclass's fields.

    What has no such form is given back as it is.
    """
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return plain_options(value)
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


def file_hash(path: Path | str) -> str:
    """SHA-256 of a file, 64 hexadecimal digits."""
    # `hashlib.file_digest` clears a quarter of a megabyte first, longer than most files take.
    found = hashlib.sha256()
    file = os.open(path, os.O_RDONLY)
    try:
        while data := os.read(file, PIECE):
            found.update(data)
    finally:
        os.close(file)
    return found.hexdigest()


def is_hash(text: str) -> bool:
    """Whether a text is what `file_hash` gives."""
    return _SHA256.fullmatch(text) is not None


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"expected a plain value, got {type(value).__name__}")


_JSON = json.JSONEncoder(sort_keys=True, default=_plain, allow_nan=False)
"""Made once: thirty digests a record ask for it."""
