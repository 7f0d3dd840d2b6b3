"""Small pictures beside a record: clean image, adversarial example and difference, for reading."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from robench.plugin.evidence import Evidence

COUNT = 8
"""Images in a strip."""
PREVIEW = "preview.png"
MAX_SIDE = 64
"""Pixels a side of an image in a strip has at most; larger ones are thinned out."""


def shown(
    labels: NDArray[np.int16], clean: NDArray[np.int16], attacked: NDArray[np.int16]
) -> NDArray[np.int64]:
    """Positions of the images in a strip: first those that the attack turned, then the others."""
    turned = (clean == labels) & (attacked != labels)
    return np.argsort(~turned, kind="stable")[:COUNT]


def save_preview(evidence: Evidence, folder: Path) -> None:
    """Write one PNG: the strips of all valid rows, one below the other, in their order."""
    strips = []
    for row, (_, examples) in zip(evidence.outcomes.attacked, evidence.examples, strict=True):
        at = shown(row.label, row.clean_prediction, row.prediction)
        clean = evidence.test.images[at].numpy()
        changed = (examples.images[at] * 255).round().byte().numpy()
        strips.append(strip(clean, changed))
    if strips:
        save_png(np.concatenate(strips), folder / PREVIEW)


def strip(clean: NDArray[np.uint8], changed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Three rows of images, 8-bit RGBA (height, width, 4), transparent between them.

    Both inputs are 8-bit, shape (n, C, H, W). The difference is grey where nothing changed and
    scaled so that the largest change is black or white.
    """
    step = -(-max(clean.shape[2:]) // MAX_SIDE)
    clean, changed = clean[..., ::step, ::step], changed[..., ::step, ::step]
    delta = changed.astype(np.float64) - clean
    difference = (127.5 + 127.5 * delta / max(1.0, np.abs(delta).max())).round().astype(np.uint8)
    return np.concatenate([_line(images) for images in (clean, changed, difference)])


def _line(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    pixels = images.transpose(0, 2, 3, 1)
    colour = np.repeat(pixels, 3, axis=3) if pixels.shape[3] == 1 else pixels[..., :3]
    gap = max(1, pixels.shape[1] // 16)
    opaque = np.concatenate([colour, np.full_like(colour[..., :1], 255)], axis=3)
    return np.concatenate(np.pad(opaque, ((0, 0), (0, gap), (0, gap), (0, 0))), axis=1)


def strip_of(png: bytes, number: int, count: int) -> NDArray[np.uint8]:
    """The strip of one row of `count` in a PNG that `save_preview` wrote: RGBA pixels."""
    from PIL import Image

    pixels = np.asarray(Image.open(BytesIO(png)))
    height = len(pixels) // count
    return pixels[number * height : (number + 1) * height]


def save_png(pixels: NDArray[np.uint8], path: Path | BytesIO) -> None:
    """Write 8-bit RGBA pixels, shape (height, width, 4)."""
    from PIL import Image

    Image.fromarray(pixels).save(path, format="PNG", optimize=True)
