"""What code found what the store keeps: another one may find something else in the same record."""

from __future__ import annotations

import hashlib
import sys
import uuid
from functools import cache
from pathlib import Path

from robench.base.hashing import digest
from robench.base.paths import PACKAGE
from robench.plugin.registry import registry
from robench.plugin.source import OURS, Unreadable, code_of_file, file_of

KINDS = (".py", ".html", ".js", ".css", ".yaml")


@cache
def own_code() -> str:
    """The digest of robench's own code and templates."""
    return _files_below(PACKAGE)


@cache
def all_code() -> str:
    """The digest of robench's own code and of every installed plugin's, as far as it can be read;
    of others each process has another one, so that nothing is believed that they may decide."""
    known = registry()
    classes = [choice.cls for kind in known.choices.values() for choice in kind.values()]
    modules = {one.__module__ for one in (*classes, *(make for _, make in known.studies))}
    plugins = {name.partition(".")[0] for name in modules} - {PACKAGE.name}
    return digest([own_code(), [[name, _code(name)] for name in sorted(plugins)]])


def _code(package: str) -> object:
    file = file_of(sys.modules[package])
    try:
        if file is None:
            return str(uuid.uuid4())
        named = code_of_file(package, file)
        # Of its own plugins robench knows the versions alone, which not all that is kept hangs on.
        return _files_below(file.parent) if named == {"distribution": OURS} else named
    except Unreadable:
        return str(uuid.uuid4())


def _files_below(folder: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*.*")):
        if path.suffix in KINDS:
            found.update(path.read_bytes())
    return found.hexdigest()
