"""The options of a component or configuration group, read from its dataclass.

The help is read from the source: pydantic's attribute docstrings leave out inherited fields, and
importing pydantic would make `robench plugins` half as slow again.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from itertools import pairwise
from typing import Any


@dataclasses.dataclass(frozen=True)
class Option:
    """One field: its name, type as written, default, and the string below it as its help."""

    name: str
    type: str
    default: Any
    help: str


def options(component: Any) -> list[Option]:
    """The options of a dataclass, or of an instance with its values as defaults."""
    cls = component if isinstance(component, type) else type(component)
    texts = _texts(cls)
    return [
        Option(f.name, _type_name(f.type), _default(component, f), texts.get(f.name, ""))
        for f in dataclasses.fields(cls)
        if f.metadata.get("plain", True)
    ]


def summary(component: Any) -> str:
    """The first line of a component's docstring."""
    cls = component if isinstance(component, type) else type(component)
    return (inspect.getdoc(cls) or "").partition("\n")[0]


def _default(component: Any, field: dataclasses.Field[Any]) -> Any:
    if not isinstance(component, type):
        return getattr(component, field.name)
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return "(required)"


def _type_name(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "Any")


def _texts(cls: type) -> dict[str, str]:
    """Strings that stand right below a field, base classes first."""
    result: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        except (OSError, TypeError, SyntaxError):
            continue
        body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
        for line, after in pairwise(body):
            if (
                isinstance(line, ast.AnnAssign)
                and isinstance(line.target, ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
                and isinstance(after.value.value, str)
            ):
                result[line.target.id] = " ".join(after.value.value.split())
    return result
