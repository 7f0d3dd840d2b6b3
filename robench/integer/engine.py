"""The compiled engine of a program: C compiled once, cached by content, called without the GIL."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from robench.base.errors import ConfigError, UserError
from robench.integer.codegen import generate, probe
from robench.integer.isas import ISAS, Isa
from robench.integer.program import Program

FLAGS = ("-O3", "-std=gnu99", "-fPIC", "-shared", "-pthread")
NO_COMPILER = (
    "no C compiler found (cc, or what ROBENCH_CC names): the slow integer reference runs instead; "
    "install gcc or clang, or `pip install ziglang` and set ROBENCH_CC='python -m ziglang cc'"
)


class Engine:
    """Runs one program on this machine, with the same bits as the reference.

    isa: instruction set; by default `ROBENCH_ISA`, else the best there is. Raises: UserError when
    there is no compiler (message NO_COMPILER), it fails, or the instruction set is not to be had.
    """

    def __init__(self, program: Program, *, isa: str | None = None) -> None:
        self.program = program
        self._isa = chosen_isa(isa)
        self._library = _load(compile_library(generate(program, isas=[self._isa])))

    @property
    def isa(self) -> str:
        """Name of the instruction set in use."""
        return self._isa.name

    def run(self, images: Tensor, *, threads: int = 1) -> tuple[Tensor, Tensor]:
        """Labels int32 (N,) and logits int32 (N, classes) of images.

        images: uint8 or int16 (N, C, H, W) in 8-bit units. Raises: UserError for another type or
        shape, or when memory runs out.
        """
        self.program.check_images(images)
        images = images.contiguous()
        labels = torch.empty(len(images), dtype=torch.int32)
        logits = torch.empty(len(images), self.program.classes, dtype=torch.int32)
        data, wide = images.data_ptr(), images.dtype == torch.int16
        pointers = (None, data) if wide else (data, None)
        failed = self._library.robench_run(
            0, *pointers, len(images), threads, labels.data_ptr(), logits.data_ptr()
        )
        if failed:
            raise UserError(
                "integer engine: expected memory for its buffers, got none; use fewer threads"
            )
        return labels, logits


def available() -> list[str]:
    """Names of the instruction sets that this machine has, best first; UserError as `Engine`."""
    return [isa.name for isa in _host()]


def chosen_isa(name: str | None = None) -> Isa:
    """The named instruction set; by default `ROBENCH_ISA`, else the best that this machine has.

    An engine is compiled for it alone: all of them take three times as long. Raises: UserError when
    this machine does not have it, or has no compiler.
    """
    wanted = os.environ.get("ROBENCH_ISA", "") if name is None else name
    for isa in _host():
        if wanted in ("", isa.name):
            return isa
    raise ConfigError(
        f"expected an instruction set among {available()}, got {wanted!r}; set ROBENCH_ISA"
    )


@cache
def _host() -> tuple[Isa, ...]:
    library = ctypes.CDLL(str(compile_library(probe())))
    return tuple(isa for index, isa in enumerate(ISAS) if library.robench_has(index))


def compile_library(source: str, flags: tuple[str, ...] = FLAGS) -> Path:
    """The shared library of a C source, from the cache folder when it was compiled before.

    Raises: UserError when there is no compiler or it fails.
    """
    compiler = find_compiler()
    key = "\0".join((source, *flags, *compiler, _version(tuple(compiler))))
    folder = _cache_folder()
    library = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.so"
    if not library.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            built = Path(scratch) / "engine.so"
            compile_source(source, built, flags)
            built.replace(library)
    return library


def compile_source(source: str, output: Path, flags: tuple[str, ...]) -> None:
    """Compile C to `output` with the machine's compiler.

    Raises: UserError when there is no compiler or it fails.
    """
    command = [*find_compiler(), *flags, "-x", "c", "-", "-o", str(output)]
    done = subprocess.run(command, input=source.encode(), capture_output=True, check=False)
    if done.returncode:
        first = (done.stderr.decode(errors="replace").strip() or "no message").splitlines()[0]
        raise UserError(f"C compiler {command[0]}: expected success, got {first}; set ROBENCH_CC")


def find_compiler() -> list[str]:
    """The command of the C compiler: `ROBENCH_CC`, split at spaces, else `cc`.

    Raises: UserError (message NO_COMPILER).
    """
    command = os.environ.get("ROBENCH_CC", "cc").split()
    if not command or shutil.which(command[0]) is None:
        raise UserError(NO_COMPILER)
    return command


def _version(compiler: tuple[str, ...]) -> str:
    done = subprocess.run([*compiler, "--version"], capture_output=True, text=True, check=False)
    return done.stdout


def _cache_folder() -> Path:
    root = os.environ.get("ROBENCH_CACHE")
    return Path(root) / "engines" if root else Path.home() / ".cache" / "robench" / "engines"


def _load(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    pointer = ctypes.c_void_p
    library.robench_run.argtypes = [
        ctypes.c_int, pointer, pointer, ctypes.c_long, ctypes.c_int, pointer, pointer,
    ]  # fmt: skip
    return library
