"""The papers' numbers, as the package ships them: plain CSV with their source."""

from __future__ import annotations

import csv
from importlib.resources import files


def read_cells(name: str) -> list[dict[str, str]]:
    """The rows of a shipped table of a paper, by column name."""
    text = (files("robench.study") / "papers" / f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
