"""Which code stands behind a foreign object: what enters a key where no version can be trusted.

An author who edits a plugin, a script or a notebook must never see an old number. So the code of an
installed wheel is named by its version and the hashes of its files; code that can be edited in
place by its source; and what has neither raises `Unreadable`, so that nothing of it is kept.
"""

from __future__ import annotations

import ast
import enum
import functools
import hashlib
import logging
import re
import sys
import sysconfig
import types
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from robench.base.hashing import digest
from robench.base.paths import PACKAGE

if TYPE_CHECKING:
    from torch import nn

OURS = "robench"
LARGE = 2**20
"""Bytes of a file of data inside a package from which on its size and time of change stand for
it."""


class Unreadable(Exception):
    """Code, or an attribute, that no digest can stand for."""


def origin(cls: type, distribution: str | None = None) -> dict[str, str]:
    """What names the code of a class: a distribution's version, or a digest of its source.

    `distribution` saves looking for the one that the class comes from. Raises Unreadable where
    neither can be had.
    """
    module = sys.modules.get(cls.__module__)
    if module is None:
        raise Unreadable(f"the module of {cls.__qualname__} is gone")
    file = _file_of(module)
    if file is None:
        if cls.__module__ in sys.builtin_module_names:
            return {"python": sys.version.partition(" ")[0]}
        raise Unreadable(f"{cls.__module__} has no file")
    return _code_of_file(cls.__module__, file, distribution)


def code_of(component: object, distribution: str | None = None) -> dict[str, str]:
    """What names the code of a component and what its class, or it itself, was given while running.

    Raises Unreadable where neither can be had.
    """
    cls = type(component)
    if _file_of(sys.modules.get(cls.__module__)) is not None:
        known = origin(cls, distribution)
        if "distribution" in known:
            return known
    options = {field.name for field in fields(component)} if is_dataclass(component) else set()
    more = {k: v for k, v in vars(component).items() if k not in options}
    reader = _Reader()
    return {"code": digest([reader.plain(cls), reader.plain(more)])}


def _file_of(module: Any) -> Path | None:
    """A module's file; None for one that was typed in a session."""
    name = getattr(module, "__file__", None)
    return Path(name) if name and Path(name).is_file() else None


def _code_of_file(module: str, file: Path, distribution: str | None = None) -> dict[str, str]:
    if _inside(file, "stdlib", "platstdlib") and not _inside(file, "purelib", "platlib"):
        return {"python": sys.version.partition(" ")[0]}
    if any(_inside_of(file, folder) for folder in (PACKAGE, PACKAGE.parent / "plugins")):
        return {"distribution": OURS}  # its versions and its release decide
    known = [distribution] if distribution else _packages().get(module.partition(".")[0], ())
    return _installed(file, known) or {"source": source_digest(module, file)}


def _installed(file: Path, distributions: Iterable[str]) -> dict[str, str] | None:
    """Name, version and digest of the wheel that a file belongs to; None for no wheel.

    The digest is that of the hashes in the wheel's RECORD: one built again under the same version
    is another one. An editable installation is no wheel.
    """
    for name in sorted(set(distributions)):
        wheel = _wheel(name)
        if wheel and _inside_of(file, wheel[0]):
            return wheel[1]
    return None


@functools.cache
def _packages() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()


@functools.cache
def _wheel(name: str) -> tuple[Path, dict[str, str]] | None:
    """Where a distribution lies, and what names it; None when it can be edited in place."""
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None
    record = found.read_text("RECORD")
    if not record or '"editable": true' in (found.read_text("direct_url.json") or ""):
        return None
    named = {"distribution": f"{found.name} {found.version}", "files": _files_of(record)}
    return Path(str(found.locate_file(""))), named


def _files_of(record: str) -> str:
    """A digest of the hashes of a wheel's own files, in no order; not of what installing adds."""
    lines = (line.rsplit(",", 2) for line in record.splitlines())
    return digest(
        sorted(
            [name, value]
            for name, value, _ in lines
            if value and ".dist-info/" not in name and not name.startswith("..")
        )
    )


def source_digest(module: str, file: Path) -> str:
    """A digest of all files of a module's package, and of the local code that it imports.

    A module without a package stands for itself: a script, or a file beside a notebook.
    """
    hashes: dict[str, str] = {}
    waiting = [(module, file)]
    seen: set[Path] = set()
    while waiting:
        name, path = waiting.pop()
        root = _package_folder(name, path)
        if root in seen:
            continue
        seen.add(root)
        for part in _files(root):
            key = f"{root.name}/{part.relative_to(root)}" if root.is_dir() else part.name
            status = part.stat()
            hashes[key], imported = _read(part, status.st_size, status.st_mtime_ns)
            waiting += imported
    return digest(hashes)


def _package_folder(module: str, file: Path) -> Path:
    """The folder of a module's topmost package; the file itself where there is none."""
    if file.is_dir():
        return file.resolve()
    folder = file.resolve().parent
    if not (folder / "__init__.py").is_file() and "." not in module:
        return file.resolve()
    while (folder.parent / "__init__.py").is_file():
        folder = folder.parent
    return folder


def _files(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
        return
    for path in sorted(root.rglob("*")):
        hidden = any(p.startswith((".", "__pycache__")) for p in path.relative_to(root).parts)
        if path.is_file() and not hidden:
            yield path


@functools.cache
def _read(path: Path, size: int, changed: int) -> tuple[str, tuple[tuple[str, Path], ...]]:
    """A file's hash and the local modules that it imports; read once while it stays the same."""
    if path.suffix != ".py" and size > LARGE:
        return f"{size} {changed}", ()
    content = path.read_bytes()
    imported = tuple(_local_imports(content)) if path.suffix == ".py" else ()
    return hashlib.sha256(content).hexdigest(), imported


def _local_imports(content: bytes) -> Iterator[tuple[str, Path]]:
    """Modules that code imports and that no distribution or python itself brought."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        else:
            continue
        for name in {full.partition(".")[0] for full in names} - {OURS}:
            file = _file(name)
            if file and not _installed_or_python(file):
                yield name, file


def _file(package: str) -> Path | None:
    """A top-level package's file; its folder where it has no file (a namespace package)."""
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if spec.origin and Path(spec.origin).is_file():
        return Path(spec.origin)
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    return next((folder for folder in folders if folder.is_dir()), None)


def _inside(file: Path, *schemes: str) -> bool:
    return any(_inside_of(file, Path(sysconfig.get_path(scheme))) for scheme in schemes)


def _inside_of(file: Path, folder: Path) -> bool:
    return file.resolve().is_relative_to(folder.resolve())


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
        try:
            return self._plain(value)
        except (AttributeError, TypeError, ValueError, RuntimeError) as error:
            raise Unreadable(f"{type(value).__qualname__}: {error}") from error

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
        content = np.ascontiguousarray(value).tobytes()
        return [str(value.dtype), list(value.shape), hashlib.sha256(content).hexdigest()]

    def _mapping(self, value: Mapping[Any, Any]) -> Any:
        return ["mapping", *([self.plain(k), self.plain(v)] for k, v in value.items())]

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
        in_session = _file_of(sys.modules.get(cls.__module__)) is None
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
        file = _file_of(sys.modules.get(function.__module__))
        code = _code_of_file(function.__module__, file) if file else {}
        foreign = "distribution" in code or "python" in code
        cells = [_content(cell) for cell in function.__closure__ or ()]
        given = [function.__defaults__, function.__kwdefaults__, cells]
        if foreign:
            return [function.__qualname__, code, [self._held(v, strict=False) for v in given]]
        body = self._code(function.__code__, function.__globals__, strict=not file)
        return [code, [self.plain(value) for value in given], body]

    def _code(self, code: types.CodeType, names: dict[str, Any], *, strict: bool) -> list[Any]:
        if dynamic := _DYNAMIC & set(code.co_names):
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
        file = _file_of(value)
        if file is None or _installed_or_python(file):
            return ["module", value.__name__]
        read = [name for name in names if hasattr(value, name)]
        return ["module", [[n, self._held(getattr(value, n), strict=False)] for n in read]]


_CODE = (type, types.FunctionType, types.MethodType, staticmethod, classmethod, property)
_DYNAMIC = {"import_module", "__import__", "spec_from_file_location", "exec", "eval"}
"""What runs code that no digest can follow."""


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that is not bound yet
        return None


def _installed_or_python(file: Path) -> bool:
    ours = _inside_of(file, PACKAGE) or _inside_of(file, PACKAGE.parent / "plugins")
    return ours or _inside(file, "stdlib", "platstdlib", "purelib", "platlib")


_NO_CODE = {
    *("__doc__", "__dict__", "__weakref__", "__module__", "__qualname__", "__annotations__"),
    *("__dataclass_fields__", "__dataclass_params__", "__match_args__", "__abstractmethods__"),
    *("_abc_impl", "__parameters__", "__firstlineno__", "__static_attributes__"),
}
"""Attributes of a class that compute nothing."""
_GENERATED = {"__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__"}
"""What dataclasses write themselves; the fields' values are the component's options."""
