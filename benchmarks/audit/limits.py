"""The audit's limits, collected from its sources by module and name.

A limit is a number that somebody chose: a constant of a module or of a class (`NAME = 0.05`, an
option's default), an argument's default, and what a call is given by name (`suspect=0.33`). A
number inside an expression of other things, such as `self.images / 2` or an index, is none; nor is
a tensor's `dim`. `limits.json` has those that were judged on networks the audit had not met.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

from robench.base.hashing import digest

ROOT = Path(__file__).parents[2]
PARTS = ("robench/audit", "robench/search/secant.py")
"""Where the limits stand."""
JUDGED = Path(__file__).parent / "limits.json"
LITERAL = (
    *(ast.Constant, ast.Tuple, ast.List, ast.Load, ast.Name, ast.IfExp, ast.Attribute),
    *(ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop),
)
SHAPES = ("dim", "dims", "keepdim", "check")
"""Names of arguments that say where or what, not how much."""


def limits(root: Path = ROOT) -> dict[str, str]:
    """Every limit of a checkout, as it is written: by `module:name`, sorted."""
    paths = [path for part in PARTS for path in sorted((root / part).rglob("*.py"))]
    paths += [root / part for part in PARTS if part.endswith(".py")]
    found: dict[str, list[str]] = {}
    for path in paths:
        module = path.relative_to(root).with_suffix("").as_posix().replace("/", ".")
        for name, value in _inside(ast.parse(path.read_text("utf-8")), ""):
            found.setdefault(f"{module}:{name}", []).append(ast.unparse(value))
    return {key: "; ".join(values) for key, values in sorted(found.items())}


def judged() -> dict[str, str]:
    """The limits with which the unseen networks were judged."""
    found: dict[str, str] = json.loads(JUDGED.read_text("utf-8"))
    return found


def name_of(table: dict[str, str]) -> str:
    """What stands beside a table: the digest of limits, 16 hexadecimal digits."""
    return digest(table)[:16]


def apart() -> Iterator[str]:
    """A line for each limit that is not as it was judged, and for each that came since."""
    now, then = limits(), judged()
    for key in sorted({*now, *then}):
        if key not in then:
            yield f"since: {key} = {now[key]}"
        elif now.get(key) != then[key]:
            yield f"changed: {key} was {then[key]}, is {now.get(key, 'gone')}"


def _inside(node: ast.AST, at: str) -> Iterator[tuple[str, ast.expr]]:
    """Names and values of the limits inside a node, in the order of the source."""
    for child in ast.iter_child_nodes(node):
        declared = isinstance(node, ast.Module | ast.ClassDef)
        if declared and isinstance(child, ast.Assign | ast.AnnAssign):
            yield from _constants(child, at)
        if isinstance(child, ast.arguments):
            yield from _defaults(child, at)
        if isinstance(child, ast.Call):
            yield from _given(child, at)
        deeper = isinstance(child, ast.ClassDef | ast.FunctionDef)
        yield from _inside(child, f"{at}{child.name}." if deeper else at)  # type: ignore[attr-defined]


def _constants(node: ast.Assign | ast.AnnAssign, at: str) -> Iterator[tuple[str, ast.expr]]:
    target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
    pairs = [(target, node.value)]
    if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
        pairs = list(zip(target.elts, node.value.elts, strict=True))
    for one, value in pairs:
        if value is not None and _is_limit(value):
            yield f"{at}{ast.unparse(one)}", value


def _defaults(node: ast.arguments, at: str) -> Iterator[tuple[str, ast.expr]]:
    last = [*node.posonlyargs, *node.args][len(node.posonlyargs + node.args) - len(node.defaults) :]
    names = [*last, *node.kwonlyargs]
    for argument, value in zip(names, [*node.defaults, *node.kw_defaults], strict=True):
        if value is not None and _is_limit(value):
            yield f"{at}{argument.arg}", value


def _given(node: ast.Call, at: str) -> Iterator[tuple[str, ast.expr]]:
    subject = ast.unparse(node.args[0]) if node.args else ""
    for keyword in node.keywords:
        if keyword.arg and keyword.arg not in SHAPES and _is_limit(keyword.value):
            yield f"{at}{ast.unparse(node.func)}({subject}).{keyword.arg}", keyword.value


def _is_limit(value: ast.expr) -> bool:
    """Whether an expression is of numbers and names alone, with a number or a constant in it."""
    if isinstance(value, ast.Dict):
        return all(_is_limit(one) for one in value.values)
    nodes = list(ast.walk(value))
    texts = (isinstance(one, ast.Constant) and isinstance(one.value, str) for one in nodes)
    numbers = (
        (isinstance(one, ast.Constant) and type(one.value) in (int, float))
        or (isinstance(one, ast.Name) and one.id.isupper())
        for one in nodes
    )
    return all(isinstance(one, LITERAL) for one in nodes) and any(numbers) and not any(texts)
