"""Hostile files: a few seconds of each fuzzer, and a minute of each in the slow suite."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.fuzz.files import fuzz_files
from tests.fuzz.programs import Tally, fuzz_engine, fuzz_reader

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="limits memory as Linux counts it"
)
SECONDS = [2, pytest.param(60, marks=pytest.mark.slow)]


@pytest.fixture
def seed() -> int:
    """Another one each time; a failure prints it."""
    return time.time_ns() % 2**32


def judge(tally: Tally) -> None:
    print(tally)
    assert not tally.failures, str(tally)
    assert tally.accepted
    assert tally.tried > tally.accepted


@pytest.mark.parametrize("seconds", SECONDS)
def test_a_hostile_program_is_a_program_or_one_line(seed: int, seconds: float) -> None:
    tally = fuzz_reader(seed, seconds=seconds)
    judge(tally)
    assert len(tally.structures) > 20


@pytest.mark.parametrize("seconds", SECONDS)
def test_programs_of_any_structure_run_clean_in_c(
    seed: int, seconds: float, tmp_path: Path
) -> None:
    tally = fuzz_engine(seed, tmp_path, seconds=seconds)
    print(tally)
    assert not tally.failures, str(tally)
    assert len(tally.structures) == tally.run > 0


@pytest.mark.parametrize("seconds", SECONDS)
def test_a_hostile_data_file_is_data_or_one_line(seed: int, seconds: float, tmp_path: Path) -> None:
    judge(fuzz_files(seed, tmp_path, seconds=seconds))
