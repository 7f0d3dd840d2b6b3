"""The integer program as the classifier that ships: rounds onto the 8-bit grid, then integers."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from robench.base.errors import ConfigError, UserError
from robench.core.system import System
from robench.integer.build import to_program
from robench.integer.differentiable import ProgramTwin
from robench.integer.engine import Engine
from robench.integer.file import load_program, program_bytes, save_program
from robench.integer.program import Program
from robench.integer.reference import run_reference
from robench.integer.twin import Twin

FILE = "program.robench"


class IntegerDeployed:
    """Runs a program on the compiled engine, or on the reference where there is no C compiler."""

    randomised = False
    exact = True

    def __init__(self, program: Program) -> None:
        self.program = program
        self.engine = engine_or_none(program)

    def predict(self, images: Tensor) -> Tensor:
        """Labels of float32 images in [0,1], each pixel rounded to the nearest of 8 bits first."""
        return self.labels((images.clamp(0, 1) * 255).round().to(torch.uint8))

    def labels(self, pixels: Tensor) -> Tensor:
        """Labels, int64 (N,), of uint8 or int16 images in 8-bit units."""
        if self.engine is None:
            return run_reference(self.program, pixels)[0].long()
        return self.engine.run(pixels, threads=torch.get_num_threads())[0].long()

    def macs(self) -> int:
        """Multiply-accumulates of one image."""
        return self.program.macs()

    def nbytes(self) -> int:
        """Bytes of the program's file."""
        return len(program_bytes(self.program))

    def save(self, folder: Path) -> None:
        """Write `program.robench` into a folder."""
        save_program(self.program, folder / FILE)


def engine_or_none(program: Program) -> Engine | None:
    """The compiled engine, or None (with a warning that says what to install)."""
    try:
        return Engine(program)
    except ConfigError:  # an instruction set that was asked for by name
        raise
    except UserError as error:
        warnings.warn(str(error), stacklevel=2)
        return None


def stored_system(path: Path) -> System:
    """The system of a program's file: the engine, and a twin made from the program alone.

    Raises: UserError when the file is not an intact program.
    """
    program = load_program(path)
    return System(deployed=IntegerDeployed(program), twin=ProgramTwin(program).float())


def integer_system(twin: nn.Module) -> System:
    """The system of a fake-quantised twin: its program on the engine, itself as twin."""
    assert isinstance(twin, Twin)
    return System(deployed=IntegerDeployed(to_program(twin.cpu().eval())), twin=twin)
