"""The exported C stands alone, and runs clean under address and behaviour sanitizers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from robench.integer import Program, export_c, quantize, run_reference, to_program
from robench.integer.codegen import generate
from robench.integer.engine import available, compile_source
from tests.integer.integer_harness import HARNESS, run
from tests.integer.integer_networks import CifarResNet, settle
from tests.integer.integer_programs import images, programs

SANITIZED = ("-O1", "-g", "-std=gnu99", "-fsanitize=address,undefined", "-fno-sanitize-recover")


@pytest.fixture(scope="module")
def isas(resnet: tuple[Program, torch.Tensor]) -> list[str]:
    return available()


@pytest.fixture(scope="module")
def resnet() -> tuple[Program, torch.Tensor]:
    pixels = torch.randint(0, 256, (37, 3, 32, 32), dtype=torch.uint8)
    model = settle(CifarResNet(1, 8, "A"), (3, 32, 32))
    return to_program(quantize(model, pixels / 255)), pixels


def test_export_compiles_alone_and_prints_the_labels(
    resnet: tuple[Program, torch.Tensor], isas: list[str], tmp_path: Path
) -> None:
    program, pixels = resnet
    export_c(program, tmp_path / "net.c")
    flags = ["-O3", "-Wall", "-Werror", "-pthread"]
    binary = tmp_path / "net"
    subprocess.run(["cc", *flags, str(tmp_path / "net.c"), "-o", str(binary)], check=True)
    (tmp_path / "images").write_bytes(pixels.numpy().tobytes())
    labels, _ = run_reference(program, pixels)
    for isa in isas:
        printed = run(binary, isa, tmp_path / "images", 2, stdin=b"")
        assert [int(line) for line in printed.split()] == labels.tolist()
    assert run(binary, "", "-", stdin=pixels.numpy().tobytes()) == printed


def test_command_line_refuses_what_it_cannot_read(
    resnet: tuple[Program, torch.Tensor], tmp_path: Path
) -> None:
    binary = tmp_path / "net"
    compile_source(generate(resnet[0], main=True), binary, ("-O1", "-pthread"))
    for arguments in ([], ["no such file"]):
        done = subprocess.run([str(binary), *arguments], capture_output=True, check=False)
        assert done.returncode == 2
        assert done.stderr


def assert_clean(program: Program, isas: list[str], binary: Path, count: int, seed: int) -> None:
    compile_source(generate(program) + HARNESS, binary, (*SANITIZED, "-pthread"))
    for wide in (False, True):
        batch = images(program, count, seed, wide=wide)
        _, logits = run_reference(program, torch.from_numpy(batch))
        for isa in isas:
            out = run(binary, isa, count, int(wide), 2, stdin=batch.tobytes())
            assert np.array_equal(np.frombuffer(out, np.int32).reshape(logits.shape), logits), isa


@pytest.mark.slow
@settings(
    max_examples=2,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(programs(), st.integers(1, 20), st.integers(0, 99))
def test_sanitizers_on_random_programs(
    tmp_path: Path, isas: list[str], program: Program, count: int, seed: int
) -> None:
    assert_clean(program, isas, tmp_path / "sanitized", count, seed)


@pytest.mark.slow
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(programs(), st.integers(1, 20), st.integers(0, 99))
def test_sanitizers_on_many_random_programs(
    tmp_path: Path, isas: list[str], program: Program, count: int, seed: int
) -> None:
    assert_clean(program, isas, tmp_path / "sanitized", count, seed)


@pytest.mark.slow
def test_sanitizers_on_a_residual_network(
    resnet: tuple[Program, torch.Tensor], isas: list[str], tmp_path: Path
) -> None:
    assert_clean(resnet[0], isas, tmp_path / "sanitized", 17, 0)
