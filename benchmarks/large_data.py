"""Data sets as large as ImageNet's validation set: what converting and judging them costs.

    python benchmarks/large_data.py [--pictures 50000] [--judged 1000] [--work DIR]

Pictures are JPEGs of several sizes, cut from the real ones of Caltech-101 and CIFAR-10 below
ROBENCH_DATA and enlarged where need be. Everything lies below --work, or in a folder that is deleted.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

SIZES = ((256, 256), (224, 224), (320, 240), (300, 400), (375, 250))
"""Width and height of the pictures, in turn."""
CLASSES = 100
QUALITY = 85


# -- pictures --------------------------------------------------------------------------------------


def make_pictures(folder: Path, count: int) -> None:
    """CLASSES folders of JPEGs, a hundredth of them to train on; the same ones each time."""
    jobs = [(folder, start, min(start + 500, count)) for start in range(0, count, 500)]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(_make_some, jobs))


@cache
def originals() -> list[np.ndarray]:
    """Real pictures, uint8 (H, W, 3): all of Caltech-101 that is there, and 400 of CIFAR-10."""
    root = Path(os.environ.get("ROBENCH_DATA", "data"))
    paths = sorted((root / "caltech101" / "101_ObjectCategories").glob("[!B]*/*.jpg"))
    photos = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    records = np.fromfile(root / "cifar-10-batches-bin" / "test_batch.bin", np.uint8, 400 * 3073)
    small = records.reshape(-1, 3073)[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return [*photos, *small]


def _make_some(job: tuple[Path, int, int]) -> None:
    folder, start, stop = job
    for number in range(start, stop):
        rng = np.random.default_rng(number)
        # A class has a few originals of its own, so that there is something to learn.
        own = originals()[number % CLASSES :: CLASSES]
        picture = Image.fromarray(own[rng.integers(len(own))])
        width, height = picture.size
        left, top = (int(rng.integers(0, side // 3 + 1)) for side in (width, height))
        box = (left, top, left + width * 2 // 3, top + height * 2 // 3)
        part = "train" if number % CLASSES == number // CLASSES % CLASSES else "test"
        place = folder / part / f"class {number % CLASSES:03}" / f"{number:06}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        resized = picture.resize(SIZES[number % len(SIZES)], Image.Resampling.BICUBIC, box)
        resized.save(place, quality=QUALITY)
