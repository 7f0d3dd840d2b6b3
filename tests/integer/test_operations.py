"""The table at the top of ops.py names every place of an operation, and each place is guarded."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import nn

from robench.integer import ops, quantize, to_program
from robench.integer.file import KINDS
from robench.integer.twin import Layer
from tests.integer.integer_networks import CifarResNet, WideResNet, settle, small_cnn
from tests.integer.integer_programs import RandomProgram

HOME = Path(ops.__file__).parent
ROOT = HOME.parents[1]


def table() -> list[tuple[Path, str, str]]:
    """Of each place: its file, the function or table in it, and what fails when it is forgotten."""
    rows = [
        (line[4:39].strip(), line[39:55].strip(), line[92:].strip())
        for line in (ops.__doc__ or "").splitlines()
        if re.match(r"    \S+\.(py|h) ", line)
    ]
    return [
        ((ROOT if path.startswith("tests/") else HOME) / path, name, fails)
        for path, name, fails in rows
    ]


def test_every_place_exists() -> None:
    assert len(table()) == 13
    for path, name, _ in table():
        text = path.read_text()
        assert all(re.search(rf"\b{part}\b", text) for part in name.split(".") if part), path


@pytest.mark.parametrize(
    ("path", "name"), [row[:2] for row in table() if row[2] == "mypy" and row[1] != "Layer"]
)
def test_mypy_names_a_place_that_forgot_an_operation(path: Path, name: str) -> None:
    """The match of the function ends in `assert_never`, which mypy refuses for a missing case."""
    functions = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name == name.rpartition(".")[2]
    ]
    (match,) = [node for f in functions for node in ast.walk(f) if isinstance(node, ast.Match)]
    assert "assert_never(" in ast.unparse(match.cases[-1])
    assert ast.unparse(match.cases[-1].pattern) == "_"


def test_a_file_knows_every_operation() -> None:
    assert set(KINDS) == set(get_args(ops.Op))
    assert len(KINDS) == len(set(KINDS))


def test_random_programs_draw_every_operation() -> None:
    """Engines, the reference, the file and the twins are compared on these."""
    drawn: set[type] = set()
    for seed in range(40):
        rng = torch.Generator().manual_seed(seed)

        def number(low: int, high: int, rng: torch.Generator = rng) -> int:
            return int(torch.randint(low, high + 1, (), generator=rng))

        drawn |= {type(op) for op in RandomProgram(number).build().ops}
    assert drawn == set(get_args(ops.Op))


def test_networks_reach_every_layer_and_operation() -> None:
    torch.manual_seed(0)
    builds = (lambda: small_cnn(width=2), lambda: CifarResNet(1, 4), lambda: WideResNet(1, 1))
    layers: set[type[nn.Module]] = set()
    built: set[type] = set()
    for build in builds:
        model = settle(build(), (3, 32, 32))
        twin = quantize(model, torch.rand(8, 3, 32, 32), "minmax")
        layers |= {type(layer) for layer in twin.layers}
        built |= {type(op) for op in to_program(twin).ops}
    assert set(get_args(Layer)) <= layers
    assert built == set(get_args(ops.Op))
