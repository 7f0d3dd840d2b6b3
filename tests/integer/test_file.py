"""Program files: round trip, size, and a reader that no damaged or hostile file can hurt."""

from __future__ import annotations

import contextlib
import os
import struct
import tracemalloc
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from robench.base.errors import UserError
from robench.integer import Program, load_program, quantize, save_program, to_program
from robench.integer.file import _HEADER, MAX_FILE, parse_program, program_bytes
from tests.integer.integer_networks import CifarResNet, settle
from tests.integer.integer_programs import RandomProgram, programs, resealed


def example() -> bytes:
    rng = np.random.default_rng(3)
    return program_bytes(RandomProgram(lambda low, high: int(rng.integers(low, high + 1))).build())


CONTENT = example()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs())
def test_round_trip(program: Program) -> None:
    again = parse_program(program_bytes(program))
    assert program_bytes(again) == program_bytes(program)
    for one, other in zip(program.ops, again.ops, strict=True):
        assert type(one) is type(other)
        for field in fields(one):
            assert np.array_equal(getattr(one, field.name), getattr(other, field.name))


def test_resnet20_is_under_300_kilobytes(tmp_path: Path) -> None:
    model = settle(CifarResNet(), (3, 32, 32))
    program = to_program(quantize(model, torch.rand(4, 3, 32, 32)))
    save_program(program, tmp_path / "resnet20.rbip")
    assert (tmp_path / "resnet20.rbip").stat().st_size < 300_000
    assert program_bytes(load_program(tmp_path / "resnet20.rbip")) == program_bytes(program)


def test_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a file"):
        load_program(tmp_path / "nothing")


def test_what_is_no_file_is_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    with (tmp_path / "giant").open("wb") as giant:
        giant.truncate(MAX_FILE + 1)
    for name in ("pipe", "loop", "giant", "."):
        with pytest.raises(UserError, match="integer program") as error:
            load_program(tmp_path / name)
        assert "\n" not in str(error.value)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(CONTENT) - 1))
def test_truncated_files_are_refused(size: int) -> None:
    with pytest.raises(UserError, match="integer program"):
        parse_program(CONTENT[:size])


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(CONTENT) - 1), st.integers(0, 7))
def test_flipped_bits_are_refused(at: int, bit: int) -> None:
    damaged = bytearray(CONTENT)
    damaged[at] ^= 1 << bit
    with pytest.raises(UserError, match="integer program"):
        parse_program(bytes(damaged))


@settings(max_examples=400, deadline=None)
@given(
    st.integers(0, min(400, len(CONTENT) - _HEADER.size - 1)),
    st.binary(min_size=1, max_size=8),
    st.booleans(),
)
def test_hostile_files_with_a_right_checksum(at: int, patch: bytes, insert: bool) -> None:
    """Whatever the body says: a program, or one clear error, and never a large allocation."""
    body = CONTENT[_HEADER.size :]
    hostile = body[:at] + patch + body[at if insert else at + len(patch) :]
    tracemalloc.start()
    with contextlib.suppress(UserError):
        parse_program(resealed(hostile))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * len(CONTENT) + 2**22


@given(st.binary(max_size=300))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(UserError, match="integer program"):
        parse_program(noise)
    with pytest.raises(UserError, match="integer program"):
        parse_program(resealed(noise))


def test_a_claimed_giant_array_is_refused() -> None:
    head = struct.pack("<IB7q", 2, 0, 1, 2, 2, 0, 255, 2**16, 16)
    conv = struct.pack("<BqB4I", 1, 0, 4, 2**13, 2**13, 2**13, 2**13)
    with pytest.raises(UserError, match="elements"):
        parse_program(resealed(head + conv))


def test_an_empty_array_of_giant_axes_is_refused() -> None:
    head = struct.pack("<IB7q", 2, 0, 1, 2, 2, 0, 255, 2**16, 16)
    conv = struct.pack("<BqB4I", 1, 0, 4, 0, 2**32 - 1, 2**32 - 1, 2**32 - 1)
    with pytest.raises(UserError, match="elements"):
        parse_program(resealed(head + conv))
