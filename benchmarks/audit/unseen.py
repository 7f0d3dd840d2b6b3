"""Somebody else's networks: recipes, and the truth that their makers measured.

The folder holds `recipes.py` with RECIPES, by name a recipe with `built` and `make(data)`, which
gives `module`, `adaptive`, `randomised`, `samples` and `black_box`; `data.py`, which loads a data
set; and `truth.json`, a list of {name, built, data, norm, eps, naive, adaptive, label, ...}.
"""

from __future__ import annotations

import importlib
import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from robench.core.data import Split
from robench.core.threat import Threat
from tests.audit.zoo.exhibit import Exhibit, shipped
from tests.audit.zoo.lessons import Lesson

if TYPE_CHECKING:
    from benchmarks.audit.calibrate import Case


def unseen(folder: Path, options: Namespace) -> Iterator[Case]:
    """The networks of a folder, in the order of its truths, on the first of its test images."""
    from benchmarks.audit.calibrate import Case

    sys.path[:0] = [str(folder.resolve()), str(folder.resolve().parent)]
    recipes = _module("recipes").RECIPES
    truths = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    wanted = set(options.models.split(",")) if options.models else set(recipes)
    data: dict[str, Any] = {}
    for truth in truths:
        name, where = truth["name"], truth["data"]
        if name not in wanted:
            continue
        if where not in data:
            data[where] = load(where)
        build = partial(_exhibit, name, recipes[name], data[where])
        test = split(data[where], "test", options.images)
        lesson = Lesson(test, test, Threat(truth["norm"], truth["eps"]), epochs=0, width=0)
        numbers = share(truth["naive"]), share(truth["adaptive"])
        yield Case(name, where, build, lesson, truth["built"], truth["label"], *numbers)


def _exhibit(name: str, recipe: Any, data: Any) -> Exhibit:
    one = recipe.make(data)
    return Exhibit(name, shipped(one.module, one.randomised), one.module)


def load(name: str) -> Any:
    """A data set of the folder's `data.py`: by a loader, a function or a dict of its name."""
    module = _module("data")
    for loader in ("load", "load_data", "get"):
        if callable(found := getattr(module, loader, None)):
            return found(name)
    tables = (getattr(module, table, {}) for table in ("DATA", "DATASETS"))
    own = getattr(module, name, None) or next(table[name] for table in tables if name in table)
    return own() if callable(own) else own


def _module(name: str) -> Any:
    """A module of the folder, which may import its siblings bare, relatively or absolutely."""
    if "recipes" in sys.modules:
        return importlib.import_module(name)
    try:
        return importlib.import_module(f"{Path(sys.path[0]).name}.{name}")
    except ImportError:
        return importlib.import_module(name)


def split(data: Any, part: str, count: int) -> Split:
    """Images and labels of a part, as `part.images` or `part_images`, floats or bytes."""
    inner = getattr(data, part, None)
    images, labels = (
        getattr(inner, name) if hasattr(inner, name) else getattr(data, f"{part}_{name}")
        for name in ("images", "labels")
    )
    pixels: Tensor = torch.as_tensor(images)[:count]
    if pixels.is_floating_point():
        pixels = (255 * pixels).round()
    return Split(pixels.to(torch.uint8), torch.as_tensor(labels)[:count].long())


def share(number: float) -> float:
    """An accuracy in [0,1], given so or in percent."""
    return number / 100 if number > 1 else number
