"""A data set in the cache: how it is written, read, and known to have changed."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from robench.base.errors import CacheError
from robench.base.progress import progress
from robench.core.data import Data, NoImages, content_hash
from robench.core.mapped import MappedSplit
from robench.core.source import Source
from robench.core.threat import UsualThreat
from robench.run import shards
from robench.run.cache import KEPT

MEGABYTE = 1e6


def stamp(path: Path, root: Path) -> list[Any]:
    """A file's name below the data root, size and time of change; None for both when missing."""
    name = str(path).removeprefix(f"{root}{os.sep}")
    try:
        status = path.stat()
    except OSError:
        return [name, None, None]
    return [name, status.st_size, status.st_mtime_ns]


def write_data(source: Source, folder: Path) -> None:
    """Write a data set into a folder: pixels in shards, labels as safetensors, the rest as JSON.

    Raises DataError for what cannot be read, CacheError when there is no room for it.
    """
    from safetensors.torch import save_file

    _require_room(source, folder)
    total = sum(part.images.shape[0] for part in source.parts.values())
    with progress("read", total) as advance:
        hashed = content_hash(
            (
                part.images.shape,
                shards.convert(part.images, _pixels(folder, name), KEPT, advance),
                part.labels,
            )
            for name, part in source.parts.items()
        )
    labels = {name: part.labels.contiguous() for name, part in source.parts.items()}
    save_file(labels, folder / "labels.safetensors")
    about = {
        "classes": source.classes,
        "threat": asdict(source.threat),
        "hash": hashed,
        "shapes": {name: part.images.shape for name, part in source.parts.items()},
    }
    (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")


def read_data(folder: Path) -> Data:
    """What `write_data` wrote, its pixels still in their files."""
    from safetensors.torch import load_file

    labels = load_file(folder / "labels.safetensors")
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    splits = {
        name: MappedSplit(_pixels(folder, name), tuple(shape), labels[name])
        for name, shape in about["shapes"].items()
    }
    levels = {norm: tuple(eps) for norm, eps in about["threat"]["levels"].items()}
    return Data(
        train=splits.get("train", NoImages()),
        test=splits["test"],
        classes=tuple(about["classes"]),
        threat=UsualThreat(levels, about["threat"]["noise"]),
        hash=about["hash"],
    )


def _pixels(folder: Path, name: str) -> Path:
    return folder / f"{name}.pixels"


def _require_room(source: Source, folder: Path) -> None:
    """Raise CacheError where the disk cannot hold the pixels that are not there yet."""
    wanted = sum(part.images.shape[0] * part.images.image_bytes for part in source.parts.values())
    # Of a file with holes, what it occupies.
    there = sum(path.stat().st_blocks * 512 for path in folder.iterdir())
    free = shutil.disk_usage(folder).free
    if wanted - there > free:
        raise CacheError(
            f"expected {(wanted - there) / MEGABYTE:,.0f} MB free for the pixels of the data set "
            f"below {folder}, got {free / MEGABYTE:,.0f}; free some space or set cache= to another "
            "folder"
        )
