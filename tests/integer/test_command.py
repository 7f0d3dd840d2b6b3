"""The exported command: whatever it is given, labels and 0, or a message and 2."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from robench.integer import Program, run_reference
from robench.integer.codegen import generate
from robench.integer.engine import compile_source
from robench.integer.isas import ISAS
from robench.integer.ops import Flatten, Input, Logits

SANITIZED = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover", "-pthread")
STRICT = ("-Wall", "-Wextra", "-Wconversion", "-pthread")
PIXELS = 64
PLAIN = [isa for isa in ISAS if isa.name == "c"]


def program(classes: int = 4) -> Program:
    rng = np.random.default_rng(0)
    image = {"channels": 1, "height": 8, "width": 8}
    return Program(
        (
            Input(**image, low=0, high=255, multiplier=2**16, shift=16),
            Flatten(x=0),
            Logits(
                x=1,
                weight=rng.integers(-128, 128, (classes, PIXELS)).astype(np.int8),
                bias=np.zeros(classes, np.int32),
                multiplier=np.full(classes, 2**16, np.int32),
                shift=16,
            ),
        )
    )


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    binary = tmp_path_factory.mktemp("command") / "classify"
    compile_source(generate(program(), main=True, isas=PLAIN), binary, SANITIZED)
    return binary


def call(
    command: Path, *arguments: object, data: bytes = b"", isa: str = ""
) -> tuple[int, str, str]:
    done = subprocess.run(
        [command, *map(str, arguments)],
        input=data,
        capture_output=True,
        env=os.environ | {"ROBENCH_ISA": isa},
        check=False,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize("count", [1, 1024, 1025, 3000])
@pytest.mark.parametrize("threads", [(), (1,), (2,), (64,), ("007",)])
def test_whole_images_give_their_labels(
    command: Path, tmp_path: Path, count: int, threads: tuple[object, ...]
) -> None:
    pixels = torch.randint(0, 256, (count, 1, 8, 8), dtype=torch.uint8)
    (tmp_path / "images").write_bytes(pixels.numpy().tobytes())
    labels = run_reference(program(), pixels)[0].tolist()
    for source, data in (("-", pixels.numpy().tobytes()), (tmp_path / "images", b"")):
        code, out, err = call(command, source, *threads, data=data)
        assert (code, err) == (0, "")
        assert [int(line) for line in out.split()] == labels


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("-", "1", "1"),
        ("--help",),
        ("-v", "2"),
        *(
            ("-", threads)
            for threads in ("abc", "-5", "0", "65", "99999999", "1e9", "", " 1", "1 ")
        ),
        ("-", "4294967297"),
        ("-", "18446744073709551617"),
    ],
)
def test_wrong_arguments_get_the_usage(command: Path, arguments: tuple[str, ...]) -> None:
    code, out, err = call(command, *arguments, data=bytes(PIXELS))
    assert (code, out) == (2, "")
    assert "usage" in err
    assert "Sanitizer" not in err


@pytest.mark.parametrize("size", [0, 1, 63, 70, 1024 * PIXELS + 1, 2000 * PIXELS - 1])
def test_parts_of_images_are_refused(command: Path, size: int) -> None:
    code, out, err = call(command, "-", data=bytes(size))
    assert (code, out) == (2, "")
    assert "(64 bytes an image)" in err
    assert len(err.splitlines()) == 1


def test_what_is_no_file_is_refused(command: Path, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in (tmp_path, tmp_path / "absent", tmp_path / "loop", ""):
        code, out, err = call(command, path)
        assert (code, out) == (2, "")
        assert "cannot" in err
        assert len(err.splitlines()) == 1


def test_output_that_cannot_be_written_is_said(command: Path) -> None:
    for count in (1, 5000):
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(
                [command, "-"], input=bytes(count * PIXELS), stdout=full, stderr=-1, check=False
            )
        assert done.returncode == 2
        assert b"cannot write" in done.stderr


def test_an_unknown_instruction_set_is_refused(command: Path) -> None:
    code, out, err = call(command, "-", data=bytes(PIXELS), isa="z80")
    assert (code, out) == (2, "")
    assert "ROBENCH_ISA" in err


def test_one_class_is_its_label(tmp_path: Path) -> None:
    binary = tmp_path / "one"
    compile_source(generate(program(1), main=True, isas=PLAIN), binary, SANITIZED)
    assert call(binary, "-", data=bytes(2 * PIXELS)) == (0, "0\n0\n", "")


def test_the_command_compiles_without_a_warning() -> None:
    source = generate(program(), main=True)
    start = source[: source.index("/* Reads 8-bit images")].count("\n")
    done = subprocess.run(
        ["cc", *STRICT, "-fsyntax-only", "-x", "c", "-"],
        input=source, capture_output=True, text=True, check=True,
    )  # fmt: skip
    warnings = [line.split(":") for line in done.stderr.splitlines() if "warning:" in line]
    assert [parts for parts in warnings if int(parts[1]) > start] == []
