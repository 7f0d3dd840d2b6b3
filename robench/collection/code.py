"""What code found what the store keeps: another one may find something else in the same record."""

from __future__ import annotations

import hashlib
import sys
import uuid
from functools import cache

from robench.base.hashing import digest
from robench.base.paths import PACKAGE
from robench.plugin.registry import registry
from robench.plugin.source import OURS, Unreadable, code_of_file, file_of, source_digest

KINDS = (".py", ".html", ".js", ".css")


@cache
def own_code() -> str:
    """The digest of robench's own code and templates."""
    found = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.*")):
        if path.suffix in KINDS:
            found.update(path.read_bytes())
    return found.hexdigest()


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
        return source_digest(package, file) if named == {"distribution": OURS} else named
    except Unreadable:
        return str(uuid.uuid4())
