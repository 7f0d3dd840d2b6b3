"""Records in a notebook, as `robench.results`: all of a folder as one frame, or one that shows
itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from robench.base.errors import UserError
from robench.records import store
from robench.records.shown import ShownRecord, shown

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["load", "read"]


def load(root: str | Path) -> pd.DataFrame:
    """All values of all records below a folder: a row per value, its axes and run as columns.

    Raises UserError for a folder without records.
    """
    import pandas as pd

    rows: list[dict[str, object]] = []
    for folder in store.folders(Path(root)):
        rows += [{**row, "path": str(folder)} for row in store.value_rows(store.read(folder))]
    if not rows:
        raise UserError(
            f"expected records below {str(root)!r}, got none; evaluate keeps its record there "
            f"with places=robench.Places(results={str(root)!r})"
        )
    return pd.DataFrame(rows)


def read(name: str | Path, results: str | Path = "results") -> ShownRecord:
    """One record, by its folder, the beginning of its id in `results`, or "last".

    Raises UserError where there is none.
    """
    folder = store.find(name, Path(results))
    return shown(store.read(folder), folder)
