"""Objects as plain values that stand for what they compute: networks, functions, components.

Where the code can be edited or was made while running, its names are followed into what classes,
closures and modules hold. What no value can stand for raises `Unreadable`.
"""

from __future__ import annotations

import dis
import enum
import functools
import hashlib
import logging
import re
import sys
import types
import weakref
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from itertools import islice
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from robench.base.hashing import digest
from robench.plugin.source import (
    Unreadable,
    code_of_file,
    file_of,
    installed_or_python,
    origin,
)

if TYPE_CHECKING:
    from torch import nn

MOST = 1_000_000
"""Items of a mapping: one that makes them as it is asked has no end."""


def code_of(component: object, distribution: str | None = None) -> dict[str, str]:
    """What names the code of a component and what its class, or it itself, was given while running.

    Raises Unreadable where neither can be had.
    """
    cls = type(component)
    if file_of(sys.modules.get(cls.__module__)) is not None:
        known = origin(cls, distribution)
        if "distribution" in known:
            return known
    options = {field.name for field in fields(component)} if is_dataclass(component) else set()
    more = {k: v for k, v in vars(component).items() if k not in options}
    reader = _Reader()
    return {"code": digest([reader.plain(cls), reader.plain(more)])}


def network_digest(network: nn.Module) -> str:
    """A digest of a network handed over in Python: weights, classes' code, plain attributes, hooks.

    Raises Unreadable for an attribute that no digest can stand for.
    """
    return digest(_Reader().plain(network))


class _Reader:
    """Turns objects into plain values that stand for what they compute."""

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}
        self._kept: list[Any] = []  # so that no id is given twice

    def plain(self, value: Any) -> Any:
        """A JSON-like value that is another one whenever the object may compute otherwise."""
        try:
            return self._read(value)
        except Unreadable:
            raise
        except Exception as error:  # a foreign object may raise anything when it is looked at
            raise Unreadable(f"{type(value).__qualname__}: {error}") from error

    def _read(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float | str):
            return [type(value).__name__, repr(value)]
        if isinstance(value, bytes):
            return ["bytes", value.hex()]
        if isinstance(value, enum.Enum):
            return ["enum", self.plain(type(value)), value.name]
        if id(value) in self._seen:
            return ["again", self._seen[id(value)]]
        self._seen[id(value)] = len(self._seen)
        self._kept.append(value)
        return self._plain(value)

    def _plain(self, value: Any) -> Any:
        for kinds, read in self._readers():
            if isinstance(value, kinds):
                return read(value)
        if is_dataclass(type(value)):
            given = [[field.name, getattr(value, field.name, None)] for field in fields(value)]
            return [self.plain(type(value)), self.plain(given)]
        raise Unreadable(f"a {type(value).__module__}.{type(value).__qualname__}")

    def _readers(self) -> list[tuple[Any, Callable[[Any], Any]]]:
        import numpy as np
        import torch

        return [
            (torch.jit.ScriptModule, self._refuse),
            (torch.nn.Module, self._network),
            (torch.Tensor, self._tensor),
            (np.ndarray | np.generic, self._array),
            ((torch.dtype, torch.device, complex, slice, range, type(...)), self._text),
            ((PurePath, re.Pattern), self._text),
            ((logging.Logger, weakref.ReferenceType), lambda v: [type(v).__name__]),
            (Mapping, self._mapping),
            ((list, tuple), lambda v: [type(v).__name__, *map(self.plain, v)]),
            ((set, frozenset), lambda v: ["set", *sorted(map(repr, map(self.plain, v)))]),
            (type, self._class),
            (types.FunctionType, self._function),
            (types.MethodType, lambda v: [self.plain(v.__self__), self.plain(v.__func__)]),
            (functools.partial, lambda v: [*map(self.plain, (v.func, v.args, v.keywords))]),
            ((staticmethod, classmethod), lambda v: self.plain(v.__func__)),
            (property, lambda v: [*map(self.plain, (v.fget, v.fset))]),
            ((types.BuiltinFunctionType, types.MethodWrapperType, np.ufunc), self._builtin),
            (types.ModuleType, lambda v: ["module", v.__name__]),
            (functools.cached_property, lambda v: self.plain(v.func)),
            ((types.MemberDescriptorType, types.GetSetDescriptorType), lambda v: [v.__name__]),
        ]

    def _refuse(self, value: Any) -> Any:
        raise Unreadable(f"a {type(value).__qualname__}")

    def _text(self, value: Any) -> Any:
        return [type(value).__name__, str(value)]

    def _builtin(self, value: Any) -> Any:
        owner = getattr(value, "__self__", None)
        of = self.plain(owner) if isinstance(owner, type) else str(getattr(value, "__module__", ""))
        return ["builtin", of, value.__name__]

    def _tensor(self, value: Any) -> Any:
        array = value.detach().cpu().contiguous()
        if array.dtype.is_floating_point:
            array = array.double()
        return [str(value.dtype), *self._array(array.numpy())]

    def _array(self, value: Any) -> Any:
        import numpy as np

        if value.dtype.hasobject:
            raise Unreadable("an array of objects")
        content = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
        return [str(value.dtype), list(value.shape), hashlib.sha256(content.data).hexdigest()]

    def _mapping(self, value: Mapping[Any, Any]) -> Any:
        items = list(islice(value.items(), MOST + 1))
        if len(items) > MOST:
            raise Unreadable(f"a {type(value).__qualname__} of more than {MOST:,} items")
        return ["mapping", *([self.plain(k), self.plain(v)] for k, v in items)]

    def _network(self, network: nn.Module) -> Any:
        attributes = []
        for name, value in sorted(vars(network).items()):
            if name == "training" or value is None:
                continue
            if isinstance(value, Mapping) and name.endswith(("_hooks", "_kwargs")):
                # Hooks are kept by numbers that are others in each process.
                value = list(value.values())
            if not (isinstance(value, Mapping | set | list) and len(value) == 0):
                attributes.append([name, self.plain(value)])
        return ["network", self.plain(type(network)), attributes]

    def _class(self, cls: type) -> Any:
        """Its origin; where it can be edited, or was made while running, all that it holds."""
        name = f"{cls.__module__}.{cls.__qualname__}"
        in_session = file_of(sys.modules.get(cls.__module__)) is None
        code = {} if in_session and cls.__module__ == "__main__" else origin(cls)
        if "distribution" in code or "python" in code:
            return [name, code]
        skipped = _NO_CODE | (_GENERATED if is_dataclass(cls) else set())
        parts = [
            [key, self._held(value, strict=in_session)]
            for key, value in sorted(vars(cls).items())
            if key not in skipped
        ]
        return [name, code, [self.plain(base) for base in cls.__bases__], parts]

    def _held(self, value: Any, *, strict: bool) -> Any:
        """What a class or a namespace holds; of what is no code, its file may say enough."""
        if strict or isinstance(value, _CODE):
            return self.plain(value)
        try:
            return self.plain(value)
        except Unreadable:
            return ["unread", type(value).__qualname__]

    def _function(self, function: types.FunctionType) -> Any:
        file = file_of(sys.modules.get(function.__module__))
        code = code_of_file(function.__module__, file) if file else {}
        foreign = "distribution" in code or "python" in code
        cells = [_content(cell) for cell in function.__closure__ or ()]
        given = [function.__defaults__, function.__kwdefaults__, cells]
        if foreign:
            return [function.__qualname__, code, [self._held(v, strict=False) for v in given]]
        body = self._code(function.__code__, function.__globals__, strict=not file)
        return [code, [self.plain(value) for value in given], body]

    def _code(self, code: types.CodeType, names: dict[str, Any], *, strict: bool) -> list[Any]:
        if dynamic := _dynamic(code):
            raise Unreadable(f"{code.co_name} calls {', '.join(sorted(dynamic))}")
        inner = [c for c in code.co_consts if isinstance(c, types.CodeType)]
        constants = [self.plain(c) for c in code.co_consts if not isinstance(c, types.CodeType)]
        used = [
            [name, self._global(names[name], code.co_names, strict=strict)]
            for name in code.co_names
            if name in names
        ]
        nested = [self._code(part, names, strict=strict) for part in inner]
        return [code.co_code.hex(), list(code.co_names), constants, used, nested]

    def _global(self, value: Any, names: tuple[str, ...], *, strict: bool) -> Any:
        """A global that code reads; of a local module, the attributes that the code may read."""
        if not isinstance(value, types.ModuleType):
            return self._held(value, strict=strict)
        file = file_of(value)
        if file is None or installed_or_python(file):
            return ["module", value.__name__]
        read = [name for name in names if hasattr(value, name)]
        return ["module", [[n, self._held(getattr(value, n), strict=False)] for n in read]]


_CODE = (type, types.FunctionType, types.MethodType, staticmethod, classmethod, property)
_BUILTINS = {"exec", "eval", "compile"}
_LOADERS = {"import_module", "__import__", "spec_from_file_location"}
"""What runs code that no digest can follow: the first as plain names, as in `model.eval()` they are
other things."""


def _dynamic(code: types.CodeType) -> set[str]:
    """The names by which code may run other code."""
    found = _LOADERS & set(code.co_names)
    if _BUILTINS & set(code.co_names):
        plain = {i.argval for i in dis.get_instructions(code) if i.opname in _PLAIN_NAMES}
        found |= _BUILTINS & plain
    return found


_PLAIN_NAMES = {"LOAD_GLOBAL", "LOAD_NAME"}


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that is not bound yet
        return None


_NO_CODE = {
    *("__doc__", "__dict__", "__weakref__", "__module__", "__qualname__", "__annotations__"),
    *("__dataclass_fields__", "__dataclass_params__", "__match_args__", "__abstractmethods__"),
    *("_abc_impl", "__parameters__", "__firstlineno__", "__static_attributes__"),
}
"""Attributes of a class that compute nothing."""
_GENERATED = {"__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__"}
"""What dataclasses write themselves; the fields' values are the component's options."""
