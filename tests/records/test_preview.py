"""The pictures beside a record: small, however many rows it has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from robench.base.errors import UserError
from robench.base.files import MAX_PIXELS
from robench.records.preview import COUNT, MAX_SIDE, PREVIEW, drawn, picture, side_of, strip


@pytest.mark.parametrize("rows", [1, 18, 37, 38, 120, 500, 2_000])
def test_the_strips_of_many_rows_are_no_larger_than_is_read(rows: int) -> None:
    images = np.zeros((COUNT, 3, 224, 224), np.uint8)
    side = side_of(rows)
    height, width, _ = drawn(strip(images, images, side)).shape
    assert rows * height * width <= MAX_PIXELS
    assert side == MAX_SIDE or rows > 37


def test_no_picture_of_more_pixels_is_read(tmp_path: Path) -> None:
    """One of 50 kB took 1.7 GB."""
    Image.new("RGBA", (2_049, 2_048)).save(tmp_path / PREVIEW, lossless=True)
    with pytest.raises(UserError, match=f"at most {MAX_PIXELS} pixels in {PREVIEW}, got 2049"):
        picture(tmp_path)
