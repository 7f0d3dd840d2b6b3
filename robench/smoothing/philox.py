"""Counter-based random bits: what draw j of image i sees depends on the seed alone.

Philox (Salmon et al., SC 2011). The leading 16 bits of every pixel come from Philox4x64-10, the
generator numpy brings; the rare further bits from Philox4x32-10 under a second key, at a counter
that names the pixel. A draw of d pixels owns ceil(d/16) blocks of the first and d of the second.
Written out because it has to equal the C.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK = 16
"""Pixels served by one Philox4x64 block of 256 bits."""

_MASK = np.uint64(2**32 - 1)
_HALF = np.uint64(32)
_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)


@dataclass(frozen=True)
class Keys:
    """The keys of one seed: two words for leading bits, one for further bits."""

    leading: tuple[int, int]
    further: int


def keys_of(seed: int) -> Keys:
    """Unrelated keys from a non-negative integer seed."""
    words = np.random.SeedSequence(seed).generate_state(3, np.uint64)
    return Keys(leading=(int(words[0]), int(words[1])), further=int(words[2]))


def blocks_of(pixels: int) -> int:
    """Philox4x64 blocks that a draw of so many pixels owns."""
    return -(-pixels // BLOCK)


def leading_words(
    keys: Keys, image: int, first_draw: int, count: int, pixels: int
) -> NDArray[np.uint16]:
    """Leading bits of `count` consecutive draws: uint16, shape (count, 16 * blocks).

    Block b (from 1) of draw j is Philox4x64-10 at the counter (j * blocks + b, 0, image, 0).
    """
    blocks = blocks_of(pixels)
    bits = np.random.Philox(
        key=np.array(keys.leading, dtype=np.uint64),
        counter=np.array([first_draw * blocks, 0, image, 0], dtype=np.uint64),
    )
    words: NDArray[np.uint64] = bits.random_raw(4 * blocks * count)
    return words.astype("<u8", copy=False).view("<u2").reshape(count, BLOCK * blocks)


def further_words(
    keys: Keys, image: int, places: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The 48 bits after the leading ones, and 64 more, of the pixels at `places`.

    The place of pixel p in draw j is j * 16 * blocks + p; its block is Philox4x32-10 at the
    counter (place, image), each as two 32-bit words, low first.
    """
    place = places.astype(np.uint64)
    c0, c1 = place & _MASK, place >> _HALF
    c2 = np.full_like(place, image & 0xFFFFFFFF)
    c3 = np.full_like(place, image >> 32)
    with np.errstate(over="ignore"):
        w0, w1, w2, w3 = _philox4x32(c0, c1, c2, c3, keys.further)
    return w0 | (w1 & np.uint64(0xFFFF)) << _HALF, w2 | w3 << _HALF


def _philox4x32(
    c0: NDArray[np.uint64],
    c1: NDArray[np.uint64],
    c2: NDArray[np.uint64],
    c3: NDArray[np.uint64],
    key: int,
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]:
    k0, k1 = np.uint64(key & 0xFFFFFFFF), np.uint64(key >> 32)
    for _ in range(10):
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (p1 >> _HALF) ^ c1 ^ k0, p1 & _MASK, (p0 >> _HALF) ^ c3 ^ k1, p0 & _MASK
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return c0, c1, c2, c3
