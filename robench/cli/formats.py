"""What a result is printed as: for people, or for another program."""

from __future__ import annotations

import argparse
import json
from typing import Any

from robench.base.text import visible

FORMATS = {
    "json": "everything, as JSON",
    "csv": "a table for a spreadsheet",
    "latex": "a table for a paper (needs booktabs)",
}


def add_formats(parser: argparse.ArgumentParser, *formats: str) -> None:
    """Add the flags of formats, of which one may be asked for."""
    group = parser.add_mutually_exclusive_group()
    for name in formats:
        group.add_argument(f"--{name}", action="store_true", help=FORMATS[name])


def print_json(value: Any) -> None:
    """Print plain data as JSON that moves no terminal."""
    print(visible(json.dumps(value, indent=1, ensure_ascii=False)))


def print_plain(text: str) -> None:
    """Print a text for another program, which ends with its own newline."""
    print(visible(text), end="")
