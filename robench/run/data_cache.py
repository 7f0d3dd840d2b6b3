"""A data set in the cache: how it is written, read, and known to have changed."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from robench.core.data import Data, NoImages, Split
from robench.core.threat import UsualThreat


def stamp(path: Path, root: Path) -> list[Any]:
    """A file's name below the data root, size and time of change; None for both when missing."""
    name = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
    if not path.exists():
        return [name, None, None]
    status = path.stat()
    return [name, status.st_size, status.st_mtime_ns]


def write_data(data: Data, folder: Path) -> None:
    """Write a data set into a folder: tensors as safetensors, the rest as JSON."""
    from safetensors.torch import save_file

    tensors = {
        f"{name}_{part}": tensor.contiguous()
        for name, split in data.splits.items()
        for part, tensor in (("images", split.images), ("labels", split.labels))
    }
    save_file(tensors, folder / "data.safetensors")
    about = {"classes": data.classes, "threat": asdict(data.threat), "hash": data.hash}
    (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")


def read_data(folder: Path) -> Data:
    """Read what `write_data` wrote."""
    from safetensors.torch import load_file

    tensors = load_file(folder / "data.safetensors")
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    splits = {
        name: Split(tensors[f"{name}_images"], tensors[f"{name}_labels"])
        for name in ("train", "test")
        if f"{name}_images" in tensors
    }
    levels = {norm: tuple(eps) for norm, eps in about["threat"]["levels"].items()}
    return Data(
        train=splits.get("train", NoImages()),
        test=splits["test"],
        classes=tuple(about["classes"]),
        threat=UsualThreat(levels, about["threat"]["noise"]),
        hash=about["hash"],
    )
