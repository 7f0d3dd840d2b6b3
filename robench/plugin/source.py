"""Which code stands behind a foreign object: what enters a key where no version can be trusted.

An author who edits a plugin, a script or a notebook must never see an old number. So the code of an
installed wheel is named by its version and the hashes of its files; code that can be edited in
place by its source; and what has neither raises `Unreadable`, so that nothing of it is kept.
"""

from __future__ import annotations

import ast
import base64
import functools
import hashlib
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robench.base.hashing import digest
from robench.base.paths import PACKAGE

if TYPE_CHECKING:
    pass

OURS = "robench"
HEAP_TYPE = 1 << 9
"""The flag of classes made while running; `exec` may say that they come from builtins."""
INSTALLED = {"site-packages", "dist-packages"}
"""Folders of what was installed, in any environment."""
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
    file = file_of(module)
    if file is None:
        if cls.__module__ in sys.builtin_module_names and not cls.__flags__ & HEAP_TYPE:
            return {"python": sys.version.partition(" ")[0]}
        raise Unreadable(f"{cls.__module__} has no file")
    return code_of_file(cls.__module__, file, distribution)


def file_of(module: Any) -> Path | None:
    """A module's file; None for one that was typed in a session."""
    name = getattr(module, "__file__", None)
    return Path(name) if name and Path(name).is_file() else None


def code_of_file(module: str, file: Path, distribution: str | None = None) -> dict[str, str]:
    """What names the code of a module's file, as `origin`."""
    if _inside(file, "stdlib", "platstdlib") and not _inside(file, "purelib", "platlib"):
        return {"python": sys.version.partition(" ")[0]}
    if any(_inside_of(file, folder) for folder in (PACKAGE, PACKAGE.parent / "plugins")):
        return {"distribution": OURS}  # its versions and its release decide
    known = [distribution] if distribution else _packages().get(module.partition(".")[0], ())
    return _installed(file, known) or {"source": source_digest(module, file)}


def _installed(file: Path, distributions: Iterable[str]) -> dict[str, str] | None:
    """Name, version and digest of the wheel that a file belongs to; None for no wheel.

    The digest is that of the hashes in the wheel's RECORD: one built again under the same version
    is another one. An editable installation is no wheel, nor is one whose files were edited.
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
    """Where a distribution lies, and what names it; None when it can be, or was, edited."""
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None
    record = found.read_text("RECORD")
    if not record or '"editable": true' in (found.read_text("direct_url.json") or ""):
        return None
    if _edited(record, Path(str(found.locate_file("")))):
        return None
    named = {"distribution": f"{found.name} {found.version}", "files": _files_of(record)}
    return Path(str(found.locate_file(""))), named


def _edited(record: str, root: Path) -> bool:
    """Whether a python file of a wheel is another one than its RECORD says, or gone."""
    for line in record.splitlines():
        name, value, _ = line.rsplit(",", 2)
        if name.endswith(".py") and value.startswith("sha256="):
            try:
                found = hashlib.sha256((root / name).read_bytes()).digest()
            except OSError:
                return True
            if base64.urlsafe_b64encode(found).rstrip(b"=").decode() != value[len("sha256=") :]:
                return True
    return False


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
            if file and not installed_or_python(file):
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


def installed_or_python(file: Path) -> bool:
    """Whether a file is robench's, python's, or of an installed distribution."""
    ours = _inside_of(file, PACKAGE) or _inside_of(file, PACKAGE.parent / "plugins")
    # Those of other environments, too, that a `.pth` file or PYTHONPATH adds to this one.
    others = INSTALLED.intersection(file.resolve().parts)
    return bool(ours or others) or _inside(file, "stdlib", "platstdlib", "purelib", "platlib")
