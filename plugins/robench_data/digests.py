"""Digests of files that decide a network."""

from __future__ import annotations

import hashlib

from robench import UserError, expand_home


def file_digest(path: str) -> str:
    """SHA-256 of a file; raises UserError when it cannot be read, or is a folder or a pipe."""
    file_at = expand_home(path)
    if file_at.exists() and not file_at.is_file():
        raise UserError(f"expected a file at {path}, got a folder or a device")
    try:
        with file_at.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"expected a readable file at {path}, got {error.strerror}") from error
