"""A small program may not ask for memory, time or numbers that no engine has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from robench.base.errors import UserError
from robench.integer import Program, run_reference
from robench.integer.check import MAX_CLASSES, MAX_POOLED, MAX_WIDTH
from robench.integer.codegen import generate
from robench.integer.engine import compile_source
from robench.integer.isas import ISAS
from robench.integer.ops import (
    Affine,
    AvgPool,
    Conv,
    Flatten,
    Input,
    Logits,
    MaxPool,
    Op,
)
from tests.fuzz.programs import SANITIZED
from tests.integer.integer_harness import HARNESS, run


def start(channels: int = 1, height: int = 8, width: int = 8) -> Input:
    sizes = {"channels": channels, "height": height, "width": width}
    return Input(**sizes, low=0, high=255, multiplier=2**16, shift=16)


def weights(out: int, *inside: int) -> dict[str, object]:
    rng = np.random.default_rng(0)
    return {
        "weight": rng.integers(-8, 8, (out, *inside)).astype(np.int8),
        "bias": np.zeros(out, np.int32),
        "multiplier": np.full(out, 2**8, np.int32),
        "shift": 16,
    }


def conv(x: int, weight: tuple[int, ...], padding: int = 0) -> Conv:
    border = np.zeros(weight[1], np.uint8)
    return Conv(x=x, **weights(*weight), border=border, stride=1, padding=padding, zero_point=0)


def pool(x: int, size: int = 2, *, multiplier: int = 1, bias: int = 0, stride: int = 1) -> AvgPool:
    window = {"kernel_h": 1, "kernel_w": size, "stride": stride}
    return AvgPool(x=x, **window, multiplier=multiplier, bias=bias, shift=2)


def ended(ops: Sequence[Op], features: int, classes: int = 2) -> Program:
    end = len(ops)
    return Program((*ops, Flatten(x=end - 1), Logits(x=end, **weights(classes, features))))


@pytest.mark.parametrize("multiplier", [-(2**63), 2**62, 2**60, 2**56 + 1, 2**31])
def test_a_product_beyond_64_bits_is_refused(multiplier: int) -> None:
    """Their bounds wrap to small numbers in 64 bits."""
    with pytest.raises(UserError, match="product within int32"):
        ended([start(), pool(0, multiplier=multiplier)], 56)


def test_a_bias_beyond_32_bits_is_refused() -> None:
    for bias in (2**31, -(2**63), 2**63 - 1):
        with pytest.raises(UserError, match="product within int32"):
            ended([start(), pool(0, bias=bias)], 56)


def shrunk(ops: Sequence[Op], channels: int, height: int, width: int) -> Program:
    """A cheap end for operations whose last output has this shape."""
    ops = list(ops)
    while height * width > 1000:
        ops.append(pool(len(ops) - 1, 1, stride=255))
        height, width = (height - 1) // 255 + 1, (width - 1) // 255 + 1
    return ended(ops, channels * height * width)


def test_borders_may_not_multiply_a_tensor() -> None:
    image = start(1, 2**18, 1)
    padded = replace(conv(0, (1, 1, 512, 512), 511), stride=255)
    with pytest.raises(UserError, match="bytes with borders"):
        shrunk([image, padded], 1, 1031, 3)


def test_many_tensors_may_not_fill_the_memory() -> None:
    pools = [MaxPool(x=place, kernel=1, stride=1, padding=0) for place in range(20)]
    with pytest.raises(UserError, match="bytes an image"):
        shrunk([start(16, 2**11, 2**11), *pools], 16, 2**11, 2**11)
    assert shrunk([start(16, 2**11, 2**11), *pools[:8]], 16, 2**11, 2**11)


def test_an_image_may_not_take_for_ever() -> None:
    large = MaxPool(x=0, kernel=2**8, stride=1, padding=0)
    with pytest.raises(UserError, match="products an image"):
        shrunk([start(16, 2**11, 2**11), large], 16, 1793, 1793)


WIDE = np.array([2**40], np.int64)


@pytest.mark.parametrize(
    ("ops", "reason"),
    [
        ([start(), Affine(x=0, multiplier=WIDE, bias=WIDE, shift=1)], "multiplier of int32"),
        ([start(1, 1, MAX_WIDTH + 1)], "width in"),
        ([start(1, 1, MAX_POOLED + 1), Flatten(x=0), pool(1, 1)], "channels in"),
        ([start(1, 2**12, 2**12), conv(0, (1, 1, 2**10, 2**10))], "weights by sixteens"),
    ],
)
def test_an_operation_that_no_engine_has_is_refused(ops: list[Op], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        ended(ops, 1)


def test_too_many_classes_are_refused() -> None:
    with pytest.raises(UserError, match="classes in"):
        ended([start(1, 1, 1)], 1, MAX_CLASSES + 1)


@pytest.mark.parametrize(
    "kind", ["classes", "pooled", pytest.param("width", marks=pytest.mark.slow)]
)
def test_the_largest_that_is_allowed_fits_a_threads_stack(kind: str, tmp_path: Path) -> None:
    if kind == "classes":
        program = ended([start(1, 1, 1)], 1, MAX_CLASSES)
    elif kind == "width":
        wide = [start(1, 1, MAX_WIDTH), pool(0, 255, stride=255)]
        program = ended(wide, MAX_WIDTH // 255)
    else:
        program = ended([start(1, 1, MAX_POOLED), Flatten(x=0), pool(1, 1)], MAX_POOLED)
    binary = tmp_path / "engine"
    plain = [isa for isa in ISAS if isa.name == "c"]
    compile_source(generate(program, isas=plain) + HARNESS, binary, SANITIZED)
    pixels = torch.randint(0, 256, (33, *program.shapes[0]), dtype=torch.uint8)
    out = run(binary, "c", 33, 0, 3, stdin=pixels.numpy().tobytes())
    _, logits = run_reference(program, pixels)
    assert np.array_equal(np.frombuffer(out, np.int32).reshape(logits.shape), logits)
