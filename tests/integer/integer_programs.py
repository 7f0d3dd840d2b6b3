"""Random integer programs: every operation, odd sizes, extreme weights, saturation."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from robench.integer.file import _HEADER, VERSION
from robench.integer.ops import (
    Add,
    Affine,
    AvgPool,
    Conv,
    Flatten,
    Input,
    Linear,
    Logits,
    MaxPool,
    Op,
)
from robench.integer.program import Program

Draw = Callable[[st.SearchStrategy[int]], int]


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """A valid program of up to eight operations."""
    return RandomProgram(lambda low, high: draw(st.integers(low, high))).build()


class RandomProgram:
    """Grows a program operation by operation; `number(low, high)` decides everything small."""

    def __init__(self, number: Callable[[int, int], int]) -> None:
        self.number = number
        self.rng = np.random.default_rng(number(0, 2**20))
        self.ops: list[Op] = []
        self.shapes: list[tuple[int, int, int]] = []
        self.borders: dict[int, np.ndarray] = {}

    def build(self) -> Program:
        self._input()
        for _ in range(self.number(0, 6)):
            kinds = [
                self._conv,
                self._conv,
                self._add,
                self._affine,
                self._max_pool,
                self._avg_pool,
            ]
            kinds[self.number(0, len(kinds) - 1)]()
        self._put(Flatten(x=len(self.ops) - 1), (int(np.prod(self.shapes[-1])), 1, 1))
        for _ in range(self.number(0, 1)):
            self._linear()
        out = self.number(1, 20)
        weight, bias, multiplier, shift = self._weighted(out, (self.shapes[-1][0],))
        self._put(
            Logits(
                x=len(self.ops) - 1,
                weight=weight,
                bias=bias,
                multiplier=multiplier,
                shift=shift,
                unit=self.number(1, 2**34),
            ),
            (out, 1, 1),
        )
        return Program(tuple(self.ops))

    def _put(self, op: Op, shape: tuple[int, int, int]) -> None:
        self.ops.append(op)
        self.shapes.append(shape)

    def _input(self) -> None:
        c, h, w = self.number(1, 5), self.number(1, 13), self.number(1, 21)
        low = self.number(-400, 0)
        high = self.number(low + 1, 700)
        multiplier = round(255 / (high - low) * 2**16)
        self._put(
            Input(
                channels=c, height=h, width=w, low=low, high=high, multiplier=multiplier, shift=16
            ),
            (c, h, w),
        )

    def _weighted(self, out: int, inside: tuple[int, ...]) -> tuple[np.ndarray, ...]:
        """Weights that may all be extreme; multipliers that use the range, or saturate."""
        rng, size = self.rng, (out, *inside)
        weight = rng.choice(
            [rng.integers(-128, 128, size), rng.choice([-128, 127], size), np.full(size, 127)]
        )
        if self.number(0, 3) == 0:
            weight[rng.integers(out)] = 0
        fan = int(np.prod(inside))
        bias = rng.integers(-255 * 64 * fan, 255 * 64 * fan + 1, out)
        shift = self.number(1, 32)
        bound = 255 * 128 * fan + 255 * 64 * fan
        largest = min(2**31 - 1, (2**31 - 300) * 2**shift // bound)
        useful = max(
            1, min(largest, 2**shift * self.number(1, 600) // (255 * 16 * int(fan**0.5) + 1))
        )
        multiplier = rng.integers(-useful // 8 if self.number(0, 1) else 0, useful + 1, out)
        if self.number(0, 5) == 0:
            multiplier[:] = largest
        return weight.astype(np.int8), bias.astype(np.int32), multiplier.astype(np.int32), shift

    def _source(self) -> int:
        return max(0, len(self.ops) - 1 - self.number(0, 1))

    def _conv(self) -> None:
        x = self._source()
        c, h, w = self.shapes[x]
        padding = self.number(0, 3)
        kh, kw = (self.number(padding + 1, 5) for _ in range(2))
        kh, kw = min(kh, h + 2 * padding), min(kw, w + 2 * padding)
        padding = min(padding, kh - 1, kw - 1)
        kh, kw = min(kh, h + 2 * padding), min(kw, w + 2 * padding)
        stride, out = self.number(1, 3), self.number(1, 70)
        weight, bias, multiplier, shift = self._weighted(out, (c, kh, kw))
        border = self.borders.setdefault(x, self.rng.integers(0, 256, c).astype(np.uint8))
        op = Conv(
            x=x,
            weight=weight,
            bias=bias,
            border=border,
            stride=stride,
            padding=padding,
            multiplier=multiplier,
            shift=shift,
            zero_point=self.number(0, 255),
        )
        size = [(n + 2 * padding - k) // stride + 1 for n, k in ((h, kh), (w, kw))]
        self._put(op, (out, size[0], size[1]))

    def _linear(self) -> None:
        out = self.number(1, 40)
        weight, bias, multiplier, shift = self._weighted(out, (self.shapes[-1][0],))
        op = Linear(
            x=len(self.ops) - 1,
            weight=weight,
            bias=bias,
            multiplier=multiplier,
            shift=shift,
            zero_point=self.number(0, 255),
        )
        self._put(op, (out, 1, 1))

    def _add(self) -> None:
        """Adds the last tensor to an earlier one of its shape, or to itself."""
        last = len(self.ops) - 1
        same = [i for i, shape in enumerate(self.shapes) if shape == self.shapes[last]]
        other = same[self.number(0, len(same) - 1)]
        a, b = (last, other) if self.number(0, 1) else (other, last)
        multipliers = [self.number(-(2**15) + 1, 2**15 - 1) for _ in range(2)]
        op = Add(
            a=a,
            b=b,
            multiplier_a=multipliers[0],
            multiplier_b=multipliers[1],
            bias=self.number(-(2**23), 2**23),
            shift=self.number(0, 20),
        )
        self._put(op, self.shapes[last])

    def _affine(self) -> None:
        x = self._source()
        shift = self.number(0, 20)
        c = self.shapes[x][0]
        multiplier = self.rng.integers(-(2 ** (shift + 2)), 2 ** (shift + 2), c).clip(
            -(2**22), 2**22
        )
        bias = self.rng.integers(-(2**28), 2**28, c) >> (20 - shift)
        op = Affine(
            x=x, multiplier=multiplier.astype(np.int32), bias=bias.astype(np.int32), shift=shift
        )
        self._put(op, self.shapes[x])

    def _max_pool(self) -> None:
        c, h, w = self.shapes[-1]
        padding = self.number(0, 1)
        kernel = self.number(2 * padding or 1, 3)
        kernel = min(kernel, h + 2 * padding, w + 2 * padding)
        padding = min(padding, kernel // 2)
        stride = self.number(1, 3)
        op = MaxPool(x=len(self.ops) - 1, kernel=kernel, stride=stride, padding=padding)
        size = [(n + 2 * padding - kernel) // stride + 1 for n in (h, w)]
        self._put(op, (c, size[0], size[1]))

    def _avg_pool(self) -> None:
        c, h, w = self.shapes[-1]
        kh, kw = self.number(1, h), self.number(1, w)
        stride = self.number(1, 3)
        shift = self.number(0, 16)
        op = AvgPool(
            x=len(self.ops) - 1,
            kernel_h=kh,
            kernel_w=kw,
            stride=stride,
            multiplier=max(1, 2**shift // (kh * kw)) * self.number(1, 2),
            bias=self.number(-(2**8), 2**8) * 2**shift // 2,
            shift=shift,
        )
        size = [(n - k) // stride + 1 for n, k in ((h, kh), (w, kw))]
        self._put(op, (c, size[0], size[1]))


def resealed(body: bytes) -> bytes:
    """A file whose checksum is right, whatever its body says."""
    return _HEADER.pack(b"RBIP", VERSION, len(body), hashlib.sha256(body).digest()) + body


def images(program: Program, count: int, seed: int, *, wide: bool) -> np.ndarray:
    """uint8 images, or int16 ones that reach the ends of int16."""
    rng = np.random.default_rng(seed)
    shape = (count, *program.shapes[0])
    if not wide:
        return rng.integers(0, 256, shape).astype(np.uint8)
    return rng.choice(
        [rng.integers(-500, 900, shape), rng.choice([-(2**15), 2**15 - 1], shape)]
    ).astype(np.int16)
