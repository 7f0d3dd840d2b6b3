"""The ARM kernels under user-mode emulation, where Debian's cross compiler and qemu are."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from robench.integer import Program, quantize, run_reference, to_program
from robench.integer.codegen import generate
from robench.integer.engine import compile_source
from tests.integer.integer_harness import HARNESS, run
from tests.integer.integer_networks import CifarResNet, settle
from tests.integer.integer_programs import images, programs

COMPILER, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64-static"
pytestmark = pytest.mark.skipif(
    not (shutil.which(COMPILER) and shutil.which(EMULATOR)),
    reason=f"needs {COMPILER} and {EMULATOR} (Debian: gcc-aarch64-linux-gnu, qemu-user-static)",
)


@pytest.fixture(autouse=True)
def _cross_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROBENCH_CC", COMPILER)


def assert_same_bits(program: Program, binary: Path, count: int, seed: int, level: str) -> None:
    compile_source(generate(program) + HARNESS, binary, (level, "-static", "-pthread"))
    for wide in (False, True):
        batch = images(program, count, seed, wide=wide)
        _, logits = run_reference(program, torch.from_numpy(batch))
        for isa in ("dotprod", "neon", "c"):
            machine = f"{EMULATOR} -cpu max"
            arguments = (count, int(wide), 2)
            out = run(binary, isa, *arguments, stdin=batch.tobytes(), machine=machine)
            assert np.array_equal(np.frombuffer(out, np.int32).reshape(logits.shape), logits), isa


SETTINGS = settings(
    max_examples=3,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@SETTINGS
@given(programs(), st.integers(1, 20), st.integers(0, 99))
def test_random_programs(tmp_path: Path, program: Program, count: int, seed: int) -> None:
    assert_same_bits(program, tmp_path / "arm", count, seed, "-O1")


@pytest.mark.slow
@settings(SETTINGS, max_examples=50)
@given(programs(), st.integers(1, 20), st.integers(0, 99))
def test_many_random_programs(tmp_path: Path, program: Program, count: int, seed: int) -> None:
    assert_same_bits(program, tmp_path / "arm", count, seed, "-O3")


def test_a_residual_network(tmp_path: Path) -> None:
    model = settle(CifarResNet(1, 8), (3, 32, 32))
    program = to_program(quantize(model, torch.rand(16, 3, 32, 32)))
    assert_same_bits(program, tmp_path / "arm", 17, 0, "-O3")


def test_dotprod_is_not_chosen_on_a_machine_without_it(tmp_path: Path) -> None:
    program = to_program(quantize(settle(CifarResNet(1, 4), (3, 32, 32)), torch.rand(8, 3, 32, 32)))
    binary = tmp_path / "arm"
    compile_source(generate(program) + HARNESS, binary, ("-O1", "-static", "-pthread"))
    batch = images(program, 3, 0, wide=False)
    plain = run(binary, "", 3, 0, 1, stdin=batch.tobytes(), machine=f"{EMULATOR} -cpu cortex-a53")
    _, logits = run_reference(program, torch.from_numpy(batch))
    assert np.array_equal(np.frombuffer(plain, np.int32).reshape(logits.shape), logits)
