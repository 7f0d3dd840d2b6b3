"""Small pictures beside a record: clean image, adversarial example and difference, for reading.

Stored is what the other follows from: the clean images, and what must be added to them, modulo 256,
to have the adversarial ones. Older records keep all three lines, as a PNG.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from robench.base.errors import UserError, bad_input
from robench.base.files import MAX_PIXELS, has_file, read_picture
from robench.core.pixels import stored

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from robench.plugin.evidence import Evidence

COUNT = 8
"""Images in a strip."""
PREVIEW, OLD = "preview.webp", "preview.png"
LINES = {b"RIFF": 2, b"\x89PNG": 3}
"""Lines of images in a strip, by how its file begins."""
MAX_BYTES = 8 * 2**20
MAX_SIDE = 64
"""Pixels a side of an image in a strip has at most; larger ones are thinned out. Where many rows
would make more than MAX_PIXELS of it, fewer."""
GAP = 16
"""Pixels of an image's side for each of the gap beside it, which has one at least."""
TALLEST = 16_383
"""Pixels that a WebP is high at most."""


def shown(
    labels: NDArray[np.int16], clean: NDArray[np.int16], attacked: NDArray[np.int16]
) -> NDArray[np.int64]:
    """Positions of the images in a strip: first those that the attack turned, then the others."""
    turned = (clean == labels) & (attacked != labels)
    return np.argsort(~turned, kind="stable")[:COUNT]


def save_preview(evidence: Evidence, folder: Path) -> None:
    """Write one picture: the strips of all valid rows, one below the other, in their order."""
    made, side = [], side_of(len(evidence.examples))
    for row, (_, examples) in zip(evidence.outcomes.attacked, evidence.examples, strict=True):
        at = shown(row.label, row.clean_prediction, row.prediction)
        clean = evidence.test.images[at].numpy()
        changed = stored(examples.take(at), True).numpy()
        made.append(strip(clean, changed, side))
    if made and sum(map(len, made)) <= TALLEST:
        (folder / PREVIEW).write_bytes(sheet(made))
    elif made:
        with (folder / OLD).open("wb") as file:
            save_png(np.concatenate([drawn(one) for one in made]), file)


def side_of(rows: int) -> int:
    """Pixels a side of an image has at most, so that the strips of all rows are MAX_PIXELS, drawn
    with all their lines."""
    cell = isqrt(MAX_PIXELS // (max(rows, 1) * COUNT * max(LINES.values())))
    return max(1, min(MAX_SIDE, cell - -(-cell // (GAP + 1))))


def strip(
    clean: NDArray[np.uint8], changed: NDArray[np.uint8], side: int = MAX_SIDE
) -> NDArray[np.uint8]:
    """Two lines of images, 8-bit RGBA (height, width, 4), transparent between them.

    Both inputs are 8-bit, shape (n, C, H, W), and thinned out to `side` pixels a side. The lines
    are the clean images, and what is added.
    """
    step = -(-max(clean.shape[2:]) // side)
    lines = [_line(images[..., ::step, ::step]) for images in (clean, changed)]
    return _added(*lines)


def _line(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    pixels = images.transpose(0, 2, 3, 1)
    colour = np.repeat(pixels, 3, axis=3) if pixels.shape[3] == 1 else pixels[..., :3]
    gap = max(1, pixels.shape[1] // GAP)
    opaque = np.concatenate([colour, np.full_like(colour[..., :1], 255)], axis=3)
    return np.concatenate(np.pad(opaque, ((0, 0), (0, gap), (0, gap), (0, 0))), axis=1)


def _added(clean: NDArray[np.uint8], changed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    colour = changed[..., :3] - clean[..., :3]
    return np.concatenate([clean, np.concatenate([colour, changed[..., 3:]], axis=2)])


def drawn(strip: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A strip as it is looked at: clean images, adversarial ones, difference; RGBA pixels.

    The difference is grey where nothing changed and scaled so that the largest change is black or
    white.
    """
    clean, added = np.split(strip, 2)
    changed = clean.copy()
    changed[..., :3] += added[..., :3]
    opaque = clean[..., 3:] == 255
    delta = np.where(opaque, changed[..., :3].astype(np.float64) - clean[..., :3], 0)
    grey = (127.5 + 127.5 * delta / max(1.0, np.abs(delta).max())).round().astype(np.uint8)
    difference = np.concatenate([np.where(opaque, grey, 0), clean[..., 3:]], axis=2)
    return np.concatenate([clean, changed, difference.astype(np.uint8)])


def sheet(made: Sequence[NDArray[np.uint8]]) -> bytes:
    """Strips, one below the other, as one picture: lossless WebP, or PNG where that is too tall."""
    from PIL import Image

    width = max(one.shape[1] for one in made)
    wide = [np.pad(one, ((0, 0), (0, width - one.shape[1]), (0, 0))) for one in made]
    picture, found = Image.fromarray(np.concatenate(wide)), BytesIO()
    if picture.height > TALLEST:
        picture.save(found, format="png", optimize=True)
    else:
        picture.save(found, format="webp", lossless=True, quality=80, method=0)
    return found.getvalue()


def picture(folder: Path) -> bytes:
    """The picture beside a record, empty where there is none.

    Raises UserError for what is no picture of at most MAX_BYTES and MAX_PIXELS.
    """
    for name in (PREVIEW, OLD):
        if has_file(folder, name):
            return read_picture(folder / name, MAX_BYTES)
    return b""


def strips(data: bytes, count: int) -> Iterator[NDArray[np.uint8]]:
    """The `count` strips of a record's picture, of two lines each: 8-bit RGBA (height, width, 4).

    Raises UserError for a picture whose height is not that of its strips.
    """
    from PIL import Image

    lines = LINES.get(data[:4], 2)
    expected = "expected a WebP or PNG of examples"
    with bad_input(expected), Image.open(BytesIO(data), formats=["PNG", "WEBP"]) as opened:
        pixels = np.array(opened.convert("RGBA"))
    height, width, _ = pixels.shape
    if not count or height % (lines * count):
        raise UserError(f"{expected}, {count} strips of {lines} lines, got {height} pixels")
    for clean, second, *_ in pixels.reshape(count, lines, -1, width, 4):
        yield np.concatenate([clean, second]) if lines == 2 else _added(clean, second)


def save_png(pixels: NDArray[np.uint8], file: BinaryIO) -> None:
    """Write 8-bit RGBA pixels, shape (height, width, 4)."""
    from PIL import Image

    Image.fromarray(pixels).save(file, format="PNG", optimize=True)
