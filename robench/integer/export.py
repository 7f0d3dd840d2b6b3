"""The program as a folder to ship: self-contained C99, with a small command line."""

from __future__ import annotations

from pathlib import Path

from robench.integer.codegen import generate
from robench.integer.program import Program


def export_c(program: Program, path: Path) -> None:
    """Write C99 that compiles alone (`cc -O3 -pthread FILE -o classify`), weights included.

    The command reads raw 8-bit images (C, H, W each) from a file and prints one label a line;
    without its `main`, `robench_run` is the library's entry point.
    """
    path.write_text(generate(program, main=True))
