"""The compiled engine gives the reference's bits: on every instruction set, in any batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from robench.base.errors import UserError
from robench.integer import Engine, Program, engine, quantize, run_reference, to_program
from robench.integer.engine import available
from tests.integer.integer_networks import CifarResNet, settle, small_cnn
from tests.integer.integer_programs import images, programs

SETTINGS = settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def assert_same_bits(program: Program, batch: torch.Tensor) -> None:
    labels, logits = run_reference(program, batch)
    for isa in available():
        compiled = Engine(program, isa=isa)
        for threads in (1, 2):
            got = compiled.run(batch, threads=threads)
            assert torch.equal(got[1].long(), logits), isa
            assert torch.equal(got[0].long(), labels), isa


@settings(SETTINGS, max_examples=2)  # each compiles; the slow fuzzers run many more
@given(programs(), st.integers(1, 40), st.integers(0, 99))
def test_random_programs(program: Program, count: int, seed: int) -> None:
    for wide in (False, True):
        assert_same_bits(program, torch.from_numpy(images(program, count, seed, wide=wide)))


@pytest.mark.slow
@pytest.mark.timeout(900)  # a hundred programs to compile
@settings(SETTINGS, max_examples=100)
@given(programs(), st.integers(1, 40), st.integers(0, 99))
def test_many_random_programs(program: Program, count: int, seed: int) -> None:
    for wide in (False, True):
        assert_same_bits(program, torch.from_numpy(images(program, count, seed, wide=wide)))


@pytest.mark.parametrize(
    "input_range", [(0, 255), pytest.param((-120, 375), marks=pytest.mark.slow)]
)
def test_trained_like_networks(input_range: tuple[int, int]) -> None:
    model = settle(CifarResNet(1, 8), (3, 32, 32))
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (35, 3, 32, 32), generator=rng, dtype=torch.uint8)
    program = to_program(quantize(model, pixels / 255, input_range=input_range))
    noise = torch.randint(-150, 150, pixels.shape, generator=rng, dtype=torch.int16)
    assert_same_bits(program, pixels)
    assert_same_bits(program, pixels + noise)


def small_program() -> Program:
    model = settle(small_cnn((1, 8, 8), 4), (1, 8, 8))
    return to_program(quantize(model, torch.rand(8, 1, 8, 8)))


def test_an_instruction_set_can_be_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    program = small_program()
    monkeypatch.setenv("ROBENCH_ISA", "c")
    assert Engine(program).isa == "c"
    monkeypatch.setenv("ROBENCH_ISA", "z80")
    with pytest.raises(UserError, match="expected an instruction set"):
        Engine(program)


def test_no_images_and_non_contiguous_images() -> None:
    program = small_program()
    batch = torch.randint(0, 256, (8, 8, 1, 20), dtype=torch.uint8).permute(3, 2, 0, 1)
    assert torch.equal(Engine(program).run(batch)[1].long(), run_reference(program, batch)[1])
    assert len(Engine(program).run(batch[:0])[0]) == 0
    with pytest.raises(UserError, match="8-bit units"):
        Engine(program).run(batch.float())


def test_compiled_once_and_cached_by_content(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = small_program()
    Engine(program)
    monkeypatch.setattr(engine, "compile_source", None)
    Engine(program)
    assert len(list((tmp_path / "cache" / "engines").iterdir())) == 1


def test_no_compiler_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROBENCH_CC", "no-such-compiler")
    with pytest.raises(UserError, match="install gcc"):
        Engine(small_program())


def test_a_failing_compiler_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROBENCH_CC", "false")
    with pytest.raises(UserError, match="C compiler false: expected success"):
        Engine(small_program())
