"""Mutated programs through the reader, the checker and the reference; others through the engine."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from robench.base.errors import UserError
from robench.integer.check import work
from robench.integer.codegen import generate
from robench.integer.engine import available, compile_source
from robench.integer.file import parse_program, program_bytes
from robench.integer.isas import ISAS
from robench.integer.ops import operands
from robench.integer.program import Program
from robench.integer.reference import run_reference
from tests.fuzz.limits import more_memory, peak_megabytes, seconds_of_work
from tests.fuzz.mutations import mutated, random_program
from tests.integer.integer_harness import HARNESS, run
from tests.integer.integer_programs import images

SANITIZED = (
    "-O1", "-std=gnu99", "-fsanitize=address,undefined", "-fno-sanitize-recover", "-pthread",
)  # fmt: skip
READING = 2.0
"""Seconds of work that reading and checking a small file may take."""
POOL = 200
AFFORDABLE = 2**24
"""Products of one image beyond which a program is left to the checker: they take too long here."""


@dataclass
class Tally:
    """What became of the files of a fuzzer."""

    seed: int
    tried: int = 0
    accepted: int = 0
    run: int = 0
    structures: set[object] = field(default_factory=set)
    failures: list[tuple[str, bytes]] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        parts = [
            f"seed {self.seed}: {self.tried} tried, {self.accepted} accepted, {self.run} run",
            f"{len(self.structures)} structures, {self.seconds:.0f} s",
            f"{peak_megabytes()} MB at most, {len(self.failures)} failures",
            *(message for message, _ in self.failures[:3]),
        ]
        return ", ".join(parts)


def until(seconds: float, count: int) -> Iterator[int]:
    """Numbers up to a count, as long as there is time."""
    end = time.monotonic() + seconds
    for number in range(count):
        if time.monotonic() > end:
            return
        yield number


def structure(program: Program) -> object:
    """Operations, edges and sizes: what decides the code of an engine, weights apart."""
    names = ("stride", "padding", "kernel", "kernel_h", "kernel_w")
    return tuple(
        (
            type(op).__name__,
            operands(op),
            shape,
            getattr(getattr(op, "weight", None), "shape", None),
            tuple(getattr(op, name, None) for name in names),
        )
        for op, shape in zip(program.ops, program.shapes, strict=True)
    )


def fuzz_reader(seed: int, *, seconds: float = 1e9, count: int = 10**9) -> Tally:
    """Programs or one clear error; the reference runs what was accepted."""
    rng, tally, start = random.Random(seed), Tally(seed), time.monotonic()
    pool = [random_program(rng) for _ in range(POOL)]
    for tally.tried in until(seconds, count):
        content = mutated(rng.choice(pool), rng)
        try:
            with seconds_of_work(READING), more_memory(512):
                program = parse_program(content)
        except UserError:
            continue
        except Exception as error:  # what the fuzzer looks for
            tally.failures.append((repr(error)[:200], content))
            continue
        tally.accepted += 1
        _judge(program, content, rng, tally)
        if len(content) < 100_000 and work(program.ops, program.shapes) < AFFORDABLE:
            pool[rng.randrange(POOL)] = rng.choice((program, random_program(rng)))
    tally.tried += 1
    tally.seconds = time.monotonic() - start
    return tally


def _judge(program: Program, content: bytes, rng: random.Random, tally: Tally) -> None:
    tally.structures.add(structure(program))
    if work(program.ops, program.shapes) > AFFORDABLE:
        return
    batch = images(program, 2, rng.randrange(100), wide=rng.random() < 0.5)
    try:
        with seconds_of_work(20), more_memory(4096):
            labels, logits = run_reference(program, torch.from_numpy(batch))
        assert program_bytes(program) == content, "not the bytes it was read from"
        assert logits.abs().max() < 2**31, "logits beyond int32"
        assert labels.max() < program.classes, "a label without a class"
    except Exception as error:  # what the fuzzer looks for
        tally.failures.append((repr(error)[:200], content))
    tally.run += 1


def fuzz_engine(seed: int, folder: Path, *, seconds: float = 1e9, count: int = 10**9) -> Tally:
    """Programs of different structure through the sanitized engine: the reference's bits."""
    rng, tally, start = random.Random(seed), Tally(seed), time.monotonic()
    vectors = [isa for isa in available() if isa != "c"] or ["c"]
    for place in until(seconds, count):
        program = _another(rng, tally)
        try:
            _compare(program, {"c", vectors[place % len(vectors)]}, rng, folder / "sanitized")
        except Exception as error:  # what the fuzzer looks for
            tally.failures.append((repr(error)[:3000], program_bytes(program)))
        tally.run += 1
    tally.seconds = time.monotonic() - start
    return tally


def _another(rng: random.Random, tally: Tally) -> Program:
    """A program whose structure was not met: every second one is an accepted mutant."""
    while True:
        program = random_program(rng)
        for _ in range(rng.choice((0, 3))):
            tally.tried += 1
            with contextlib.suppress(UserError):
                program = parse_program(mutated(program, rng))
                tally.accepted += 1
        small = work(program.ops, program.shapes) < AFFORDABLE
        if small and len(program_bytes(program)) < 50_000:
            before = len(tally.structures)
            tally.structures.add(structure(program))
            if len(tally.structures) > before:
                return program


def _compare(program: Program, isas: set[str], rng: random.Random, binary: Path) -> None:
    chosen = [isa for isa in ISAS if isa.name in isas]
    compile_source(generate(program, isas=chosen) + HARNESS, binary, SANITIZED)
    for wide in (False, True):
        batch = images(program, rng.choice((1, 5, 16, 20)), rng.randrange(100), wide=wide)
        _, logits = run_reference(program, torch.from_numpy(batch))
        for isa in isas:
            out = run(binary, isa, len(batch), int(wide), rng.choice((1, 2)), stdin=batch.tobytes())
            got = np.frombuffer(out, np.int32).reshape(logits.shape)
            assert np.array_equal(got, logits), f"other logits on {isa}"
