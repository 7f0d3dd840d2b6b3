"""Hashes that name a computation: of plain values, of arrays, and of the code that computes."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, is_dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def digest(value: Any) -> str:
    """SHA-256 of a JSON-like value or dataclass, 16 hexadecimal digits; keys in any order."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]


def canonical(value: Any) -> str:
    """The one JSON text of a value; raises TypeError for what JSON cannot hold, NaN included."""
    try:
        return json.dumps(value, sort_keys=True, default=_plain, allow_nan=False)
    except ValueError as error:
        raise TypeError(f"expected finite numbers, got {value!r}") from error


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"expected a plain value, got {type(value).__name__}")


NUMBERLESS = {
    "robench",
    "robench.plugin.components",
    "robench.base.errors",
    "robench.base.progress",
}
"""Modules that cannot change a number: names, contracts, messages."""


AFTER_TRAINING = ("adapt", "as_trained", "transform", "finish", "deploy")
"""Methods of components that act once the weights are trained, or on nothing but options."""


@cache
def code(module: str, without: tuple[str, ...] = ()) -> str:
    """Digest of a module's code and of all code it imports from its own package or robench.

    Comments and docstrings do not count, so that a clearer text retrains nothing; neither do
    methods of the module whose names are in `without`, nor what only they import.
    """
    roots = {"robench", module.partition(".")[0]}
    seen: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen or name in NUMBERLESS or name.partition(".")[0] not in roots:
            continue
        path = _source(name)
        if path is None or path.suffix != ".py":
            continue  # a name inside a module, or compiled code
        seen[name], imports = _read(name, path, without if name == module else ())
        waiting += imports
    return digest(seen)


@cache
def _read(module: str, path: Path, without: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Digest of a module's own code less some methods, and the names it imports."""
    tree = _without_docs(ast.parse(path.read_text(encoding="utf-8")))
    tree = _without_methods(tree, without)
    own = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
    return own, tuple(_imports(tree, module, path))


def component_code(component: object, training: bool = False) -> str:
    """Digest of a component's module and all it imports, or of what of them trains."""
    return code(type(component).__module__, AFTER_TRAINING if training else ())


def _source(module: str) -> Path | None:
    """A module's file, found without importing anything: `find_spec` imports parent packages."""
    root, *rest = module.split(".")
    spec = find_spec(root)
    if spec is None:
        return None
    if not rest:
        return Path(spec.origin) if spec.origin else None
    for location in spec.submodule_search_locations or ():
        base = Path(location, *rest)
        for path in (base / "__init__.py", base.with_name(f"{base.name}.py")):
            if path.is_file():
                return path
    return None


def _without_docs(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [line for line in body if not _is_text(line)]
            node.body = kept  # type: ignore[attr-defined]
    return tree


def _without_methods(tree: ast.Module, names: tuple[str, ...]) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            node.body = [line for line in node.body if getattr(line, "name", None) not in names]
    return tree


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _imports(tree: ast.Module, module: str, path: Path) -> Iterator[str]:
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in _runtime_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parent = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
    return f"{parent}.{node.module}" if node.module else parent


def _runtime_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those below `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from _runtime_nodes(child)
