"""The reference executor against arithmetic done by hand, and programs that must be refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from robench.base.errors import UserError
from robench.integer import Program, run_reference
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

IDENTITY = Input(channels=1, height=2, width=2, low=0, high=255, multiplier=2**16, shift=16)


def i32(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def program(*ops: Op, size: int = 4, source: Input = IDENTITY) -> Program:
    """`ops`, then logits that copy each of the `size` codes."""
    copy = Logits(
        x=len(ops) + 1,
        weight=np.eye(size, dtype=np.int8),
        bias=np.zeros(size, np.int32),
        multiplier=np.full(size, 2, np.int32),
        shift=1,
    )
    return Program((source, *ops, Flatten(x=len(ops)), copy))


def codes(program: Program, *pixels: int) -> list[int]:
    _, height, width = program.shapes[0]
    image = torch.tensor(pixels, dtype=torch.int16).view(1, 1, height, width)
    return run_reference(program, image)[1][0].tolist()


def conv(**changes: Any) -> Conv:
    base = Conv(
        x=0,
        weight=np.array([[[[1, 2], [3, -4]]]], np.int8),
        bias=i32(10),
        border=np.array([7], np.uint8),
        stride=1,
        padding=0,
        multiplier=i32(1),
        shift=1,
        zero_point=0,
    )
    return replace(base, **changes)


def test_input_saturates_and_rounds_half_up() -> None:
    noisy = replace(IDENTITY, low=-120, high=375, multiplier=33761, shift=16)
    assert codes(program(source=noisy), -500, -120, 375, 9000) == [0, 0, 255, 255]
    assert codes(program(source=noisy), 0, 1, 2, 255) == [62, 62, 63, 193]
    half = replace(IDENTITY, high=510, multiplier=2**15)
    assert codes(program(source=half), 0, 1, 2, 3) == [0, 1, 1, 2]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [(10 + 1 + 4 + 9 - 16 + 1) >> 1]),
        ({"multiplier": i32(-3), "zero_point": 20}, [(-24 + 1 >> 1) + 20]),
        ({"multiplier": i32(1000)}, [255]),
        ({"multiplier": i32(-1000)}, [0]),
    ],
)
def test_convolution_by_hand(changes: dict[str, Any], expected: list[int]) -> None:
    assert codes(program(conv(**changes), size=1), 1, 2, 3, 4) == expected


def test_border_is_part_of_the_program() -> None:
    corner = [10 + 7 + 14 + 21 - 4, 10 + 7 + 14 + 3 - 8, 10 + 7 + 14 + 6 - 28]
    out = codes(program(conv(padding=1, multiplier=i32(2)), size=9), 1, 2, 3, 4)
    assert out[:3] == corner


def test_linear_sum_affine_and_pools_by_hand() -> None:
    add = Add(a=0, b=0, multiplier_a=3, multiplier_b=-1, bias=-5, shift=1)
    assert codes(program(add), 0, 4, 100, 255) == [0, 1, 97, 252]
    affine = Affine(x=0, multiplier=i32(-2), bias=i32(101), shift=2)
    assert codes(program(affine), 0, 1, 50, 51) == [25, 24, 0, 0]
    assert codes(program(MaxPool(x=0, kernel=2, stride=1, padding=1), size=9), 1, 2, 3, 4) == [
        *(1, 2, 2),
        *(3, 4, 4),
        *(3, 4, 4),
    ]
    average = AvgPool(x=0, kernel_h=2, kernel_w=1, stride=1, multiplier=1, bias=1, shift=1)
    assert codes(program(average, size=2), 1, 2, 4, 8) == [3, 5]
    linear = Linear(
        x=1,
        weight=np.array([[1, 2, 3, 4], [-1, 0, 0, 0]], np.int8),
        bias=i32(1, 2),
        multiplier=i32(2, 2),
        shift=1,
        zero_point=5,
    )
    assert codes(program(Flatten(x=0), linear, size=2), 1, 2, 3, 4) == [36, 6]


def test_label_is_the_lowest_class_on_ties() -> None:
    images = torch.tensor([[3, 9, 9, 1], [5, 5, 5, 5]], dtype=torch.uint8).view(2, 1, 2, 2)
    assert run_reference(program(), images)[0].tolist() == [1, 0]


@pytest.mark.parametrize(
    "images",
    [torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 3, dtype=torch.uint8)],
    ids=["float", "shape"],
)
def test_other_images_are_refused(images: torch.Tensor) -> None:
    with pytest.raises(UserError, match="8-bit units"):
        run_reference(program(), images)


BIG = np.full((1, 1, 2, 2), 127, np.int8)
REFUSED = {
    "bias overflows the accumulator": conv(weight=BIG, bias=i32(2**31 - 1)),
    "negative bias overflows": conv(weight=-BIG, bias=i32(-(2**31) + 1)),
    "product overflows after the shift": conv(weight=BIG, multiplier=i32(2**31 - 1)),
    "zero point": conv(zero_point=256),
    "shift": conv(shift=33),
    "dtype": conv(weight=np.zeros((1, 1, 2, 2), np.int16)),
    "input channels": conv(weight=np.zeros((1, 2, 2, 2), np.int8)),
    "border": conv(border=np.zeros(2, np.uint8)),
    "multiplier shape": conv(multiplier=i32(1, 1)),
    "stride": conv(stride=0),
    "padding": conv(padding=2),
    "kernel": conv(weight=np.zeros((1, 1, 3, 3), np.int8)),
    "forward operand": conv(x=1),
    "sum overflows": Add(a=0, b=0, multiplier_a=9, multiplier_b=9, bias=2**31 - 1, shift=1),
    "multiplier beyond int16": Add(a=0, b=0, multiplier_a=2**15, multiplier_b=9, bias=0, shift=1),
    "affine overflows": Affine(x=0, multiplier=i32(2**24), bias=i32(0), shift=1),
    "pool overflows": AvgPool(
        x=0, kernel_h=2, kernel_w=2, stride=1, multiplier=2**22, bias=0, shift=1
    ),
    "two inputs": IDENTITY,
}


@pytest.mark.parametrize("op", REFUSED.values(), ids=REFUSED)
def test_malformed_or_overflowing_operations_are_refused(op: Op) -> None:
    with pytest.raises(UserError, match=r"integer program.*expected .*, got "):
        program(op, size=1)


def test_two_borders_around_one_tensor_are_refused() -> None:
    other = conv(padding=1, border=np.array([8], np.uint8))
    with pytest.raises(UserError, match="one border"):
        program(conv(padding=1), other, size=9)


def test_hostile_sizes_are_refused_before_anything_is_allocated() -> None:
    huge = replace(IDENTITY, height=2**15, width=2**15)
    with pytest.raises(UserError, match="outputs"):
        program(source=huge, size=1)


@settings(deadline=None, max_examples=200)
@given(
    total=st.integers(-(2**30), 2**30),
    multiplier=st.integers(-(2**31) + 1, 2**31 - 1),
    shift=st.integers(1, 32),
    zero_point=st.integers(0, 255),
)
def test_any_sum_gives_the_code_of_whole_numbers(
    total: int, multiplier: int, shift: int, zero_point: int
) -> None:
    assume((abs(total) + 1100) * abs(multiplier) >> shift < 2**31 - 2**9)
    check_code(total, multiplier, shift, zero_point)


@settings(deadline=None, max_examples=200)
@given(
    total=st.integers(2**9, 2**13),
    code=st.integers(1, 255),
    shift=st.integers(20, 32),
    beyond=st.integers(0, 1),
)
def test_sums_at_the_edge_of_a_code_round_as_whole_numbers_do(
    total: int, code: int, shift: int, beyond: int
) -> None:
    """The nearest multipliers on both sides of an edge: single precision would miss it."""
    check_code(total, ((2 * code - 1) << shift - 1) // total + beyond, shift, 0)


def check_code(total: int, multiplier: int, shift: int, zero_point: int) -> None:
    """Both weighted operations, from the pixel 100, give the code of a sum."""
    same = {"bias": i32(total - 300), "multiplier": i32(multiplier), "shift": shift}
    three = np.array([[3]], np.int8)
    linear = Linear(x=1, weight=three, zero_point=zero_point, **same)
    kernel = conv(weight=three[:, :, None, None], zero_point=zero_point, **same)
    tiny = replace(IDENTITY, height=1, width=1)
    scaled = (total * multiplier + (1 << shift - 1)) >> shift
    expected = [min(max(scaled + zero_point, 0), 255)]
    assert codes(program(Flatten(x=0), linear, size=1, source=tiny), 100) == expected
    assert codes(program(kernel, size=1, source=tiny), 100) == expected
