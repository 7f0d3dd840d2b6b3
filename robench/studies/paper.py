"""A paper's numbers, as the plugin that reproduces it ships them: plain CSV with their source."""

from __future__ import annotations

import csv
from importlib.resources import files


def read_cells(package: str, name: str) -> list[dict[str, str]]:
    """The rows of `papers/NAME.csv` inside a plugin's package, by column name."""
    text = (files(package) / "papers" / f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
