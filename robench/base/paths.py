"""Where files that ship with robench are, in a wheel and in a checkout."""

from __future__ import annotations

import os
from pathlib import Path

from robench.base.errors import UserError

PACKAGE = Path(__file__).resolve().parents[1]


def shipped(name: str) -> Path:
    """The shipped folder `name`: inside the installed package, else beside it in the checkout."""
    for base in (PACKAGE, PACKAGE.parent):
        if (base / name).is_dir():
            return base / name
    raise UserError(f"expected the folder {name!r} beside or inside {PACKAGE}; reinstall robench")


def inside(root: Path, name: str) -> Path:
    """The path `name` below `root`; raises UserError when it climbs out."""
    path = (root / name).resolve()
    if not path.is_relative_to(root.resolve()):
        raise UserError(f"expected a path below {root}, got {name!r}")
    return path


def expand_home(path: str | Path) -> Path:
    """The path from the home folder that a leading `~` names; raises UserError for none."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UserError(
            f"expected ~ to name a home folder, got {str(path)!r:.200}; write the path in full"
        ) from error


def cache_folder() -> Path:
    """The folder of cached results: ROBENCH_CACHE, or `cache` where one is."""
    return expand_home(os.environ.get("ROBENCH_CACHE", "cache"))
