"""`robench new-plugin NAME`: a plugin package that installs, runs and passes its own tests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import jinja2

from robench.base.errors import UserError
from robench.plugin.components import KINDS
from robench.plugin.hooks import API_VERSION

TEMPLATES = Path(__file__).parent / "template"
USUAL = ("defense", "compressor", "attack", "metric")
"""Kinds that a new package has unless others are named."""


def new_plugin(name: str, kinds: Sequence[str], out: Path) -> Path:
    """Write the package `name` with a component of each kind below `out`; returns its folder.

    Raises UserError for a name that is no package's, an unknown kind, or a folder that exists.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise UserError(f"expected a name such as robench-mine, got {name!r}")
    for kind in kinds:
        if kind not in KINDS:
            raise UserError(f"expected kinds among {', '.join(KINDS)}, got {kind!r}")
    folder = out / name
    if folder.exists():
        raise UserError(f"expected no folder {folder} yet; choose another name or --out")
    package = name.replace("-", "_")
    short = package.removeprefix("robench_")
    values: dict[str, object] = {
        "name": name,
        "package": package,
        "short": short,
        "kinds": list(kinds),
    }
    for path, text in _files(package, kinds).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(_filled(text, values), encoding="utf-8")
    return folder


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
