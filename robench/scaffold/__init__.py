"""`robench new-plugin NAME`: a plugin package that installs, runs and passes its own tests."""

from __future__ import annotations

import keyword
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import jinja2

from robench.base.errors import UserError
from robench.plugin.components import KINDS
from robench.plugin.hooks import API_VERSION
from robench.plugin.registry import registry

TEMPLATES = Path(__file__).parent / "template"
USUAL = ("defense", "compressor", "attack", "metric")
"""Kinds that a new package has unless others are named."""
LONGEST = 64
"""Letters of a name; what it names in turn still fits every file system."""


def new_plugin(name: str, kinds: Sequence[str], out: Path) -> Path:
    """Write the package `name` with a component of each kind below `out`; returns its folder.

    Raises UserError for a name or kind that cannot work, or a folder that exists; then nothing of
    it is written.
    """
    package = name.replace("-", "_")
    short = package.removeprefix("robench_")
    folder = out / name
    _check_name(name, short)
    _check_kinds(kinds, short)
    if folder.exists():
        raise UserError(f"expected no folder {folder} yet; choose another name or --out")
    _check_free(name, package)
    values: dict[str, object] = {
        "name": name,
        "package": package,
        "short": short,
        "kinds": list(kinds),
    }
    texts = {path: _filled(text, values) for path, text in _files(package, kinds).items()}
    try:
        for path, text in texts.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise UserError(f"expected to write {folder}, got: {error}; set --out") from error
    return folder


def _check_name(name: str, short: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise UserError(f"expected a name such as robench-mine, got {name[:80]!r}")
    if len(name) > LONGEST:
        raise UserError(f"expected a name of at most {LONGEST} letters, got {len(name)}")
    if keyword.iskeyword(short) or not short.isidentifier():
        raise UserError(
            f"expected a name whose last part may name a choice, such as robench-mine, got "
            f"{short!r} in {name!r}, which Python does not take for a name"
        )


def _check_kinds(kinds: Sequence[str], short: str) -> None:
    """Each kind once, and its choice's name free."""
    for kind, count in Counter(kinds).items():
        if kind not in KINDS:
            raise UserError(f"expected kinds among {', '.join(KINDS)}, got {kind!r}")
        if count > 1:
            raise UserError(f"expected each kind once, got {kind} {count} times")
        if taken := registry().choices[kind].get(short):
            raise UserError(
                f"expected a name that is free, got {kind} {short!r}, which {taken.distribution} "
                "registers; choose another name"
            )


def _check_free(name: str, package: str) -> None:
    """No installed distribution or module has the name: the new one would stand in its way."""
    try:
        version(name)
    except PackageNotFoundError:
        pass
    else:
        raise UserError(f"expected a name that is free, got {name!r}, which is installed")
    if find_spec(package) is not None:
        raise UserError(f"expected a name that is free, got {name!r}: Python has a {package!r}")


def _files(package: str, kinds: Sequence[str]) -> dict[str, str]:
    """Path in the new package -> template."""
    shared = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        f"{package}/__init__.py": "init.py",
        f"tests/test_{package}.py": "tests.py",
    }
    return shared | {f"{package}/{kind}.py": f"{kind}.py" for kind in kinds}


def _filled(template: str, values: dict[str, object]) -> str:
    # Without autoescape: it writes Python, not HTML.
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    title = "".join(word.capitalize() for word in str(values["short"]).split("_"))
    text = environment.get_template(f"{template}.jinja")
    return text.render(title=title, api_version=API_VERSION, classes=_classes(title), **values)


def _classes(title: str) -> dict[str, str]:
    return {kind: f"{title}{base.__name__}" for kind, base in KINDS.items()}
