"""Drawing noise: the numpy sampler of certification, and a torch one for training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from robench.smoothing.noise import NoiseTable
from robench.smoothing.philox import BLOCK, Keys, blocks_of, further_words, leading_words

if TYPE_CHECKING:
    import torch

# Pixels at a time, and open pixels at a time, so that the work stays in the caches.
_CHUNK, _FEW = 2**17, 2**14


def draw(
    table: NoiseTable, keys: Keys, image: int, first_draw: int, count: int, pixels: int
) -> NDArray[np.int16]:
    """Noise of draws first_draw ... first_draw + count - 1 of one image, in 8-bit units.

    int16, shape (count, pixels). The values depend on the keys, `image` (its stream number),
    the draw's number and `pixels` alone: not on how draws are grouped into calls.
    """
    row = BLOCK * blocks_of(pixels)
    noise = np.empty((count, row), dtype=np.int16)
    flat = noise.reshape(-1)
    step = max(1, _CHUNK // row)
    opened, leading = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.uint16)]
    for start in range(0, count, step):
        rows = slice(start, min(start + step, count))
        words = leading_words(keys, image, first_draw + start, rows.stop - start, pixels)
        doubled = table.lut.take(words)
        np.right_shift(doubled, 1, out=noise[rows])
        places = np.flatnonzero((doubled & 1) != 0)
        opened.append(places + start * row)
        leading.append(words.reshape(-1)[places])
    places, heads = np.concatenate(opened), np.concatenate(leading)
    for start in range(0, len(places), _FEW):
        part = slice(start, start + _FEW)
        low, more = further_words(keys, image, places[part] + first_draw * row)
        flat[places[part]] = resolve(table, heads[part], low, more)
    return noise[:, :pixels]


def resolve(
    table: NoiseTable,
    leading: NDArray[np.uint16],
    low: NDArray[np.uint64],
    more: NDArray[np.uint64],
) -> NDArray[np.int16]:
    """Noise from 16 leading, 48 further and, where a threshold is within one unit, 64 more bits."""
    number = leading.astype(np.uint64) << np.uint64(48) | low
    least = np.searchsorted(table.high, number, side="left")
    near = number == table.high[np.minimum(least, len(table.high) - 1)]
    for i in np.flatnonzero(near):
        most = np.searchsorted(table.high, number[i], side="right")
        refined = np.searchsorted(table.low[least[i] : most], more[i], side="right")
        least[i] += int(refined)
    return (least - table.bound).astype(np.int16)


def training_noise(
    table: NoiseTable, shape: tuple[int, ...], generator: torch.Generator
) -> torch.Tensor:
    """The same law drawn by torch, for training only: int16 in 8-bit units, on the CPU.

    Its stream is the generator's; certificates use `draw`, whose streams are counted.
    """
    import torch

    size = int(np.prod(shape))
    leading = (
        _random_words(-(-size // 4), generator).view(torch.int16)[:size].to(torch.int32) + 2**15
    )
    noise = torch.from_numpy(table.lut)[leading]
    opened = torch.nonzero(noise & 1).flatten()
    noise >>= 1
    further = _random_words(2 * len(opened), generator).numpy().view(np.uint64)
    low, more = further[::2] >> np.uint64(16), further[1::2]
    noise[opened] = torch.from_numpy(
        resolve(table, leading[opened].numpy().astype(np.uint16), low, more)
    )
    return noise.reshape(shape)


def _random_words(count: int, generator: torch.Generator) -> torch.Tensor:
    import torch

    return torch.empty(count, dtype=torch.int64).random_(-(2**63), None, generator=generator)
