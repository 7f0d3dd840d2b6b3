"""Per-image outcomes of a stored record, read fast: ten thousand records make a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from robench.base.errors import UserError
from robench.core.outcomes import CLEAN, COLUMNS, Score
from robench.core.threat import TOLERANCE
from robench.records.store import OUTCOMES

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_BYTES = 256 * 2**20
MAX_ROWS = 20_000_000
WORDS = ("attack", "access", "search", "norm")
NUMBERS = ("eps", "image", "label", "clean_prediction", "prediction", "valid")
DISTANCES = ("linf", "l2")
"""Read only where an attack is judged by its distance."""


@dataclass(frozen=True)
class Part:
    """The outcomes of one row of a run; all arrays have shape (images,)."""

    attack: str
    access: str
    search: str
    norm: str
    eps: float | None
    columns: Mapping[str, NDArray[Any]]

    @property
    def valid(self) -> bool:
        """Whether the attack worked."""
        return bool(self.columns["valid"].all())

    @property
    def right(self) -> NDArray[np.bool_]:
        """Per image whether the attacked label is right."""
        found: NDArray[np.bool_] = self.columns["prediction"] == self.columns["label"]
        return found

    @property
    def clean_right(self) -> NDArray[np.bool_]:
        """Per image whether the clean label is right."""
        found: NDArray[np.bool_] = self.columns["clean_prediction"] == self.columns["label"]
        return found


def read_parts(folder: Path) -> list[Part]:
    """The outcomes table of a record's folder, cut into the rows of the run.

    Raises UserError when it is missing, too large, damaged, or not the table robench writes.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / OUTCOMES
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"expected at most {MAX_BYTES} bytes in {path.name}")
        file = pq.ParquetFile(path, read_dictionary=list(WORDS), pre_buffer=False)
        if file.metadata.num_rows > MAX_ROWS:
            raise UserError(f"expected at most {MAX_ROWS} rows in {path.name}")
        if missing := set(COLUMNS) - set(file.schema_arrow.names):
            raise UserError(f"expected columns {', '.join(sorted(missing))} in {path.name}")
        table = file.read([*WORDS, *NUMBERS], use_threads=False)
        words = {name: table[name].combine_chunks() for name in WORDS}
        codes = {name: column.indices.to_numpy() for name, column in words.items()}
        names = {name: column.dictionary.to_pylist() for name, column in words.items()}
        numbers = {name: table[name].to_numpy() for name in NUMBERS}
        if "minimal" in names["search"]:
            table = file.read(list(DISTANCES), use_threads=False)
            numbers |= {name: table[name].to_numpy() for name in DISTANCES}
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UserError(f"expected an outcomes table in {path.name}, got: {error}") from error
    return [_part(codes, names, numbers, at) for at in _blocks(codes, numbers["eps"])]


def _blocks(codes: Mapping[str, NDArray[Any]], eps: NDArray[np.float64]) -> Iterator[slice]:
    """Where each row of the run begins and ends; robench writes them one after the other."""
    if len(eps) == 0:
        raise UserError("expected outcomes, got an empty table")
    starts = (eps[1:] != eps[:-1]) & ~(np.isnan(eps[1:]) & np.isnan(eps[:-1]))
    for column in codes.values():
        starts |= column[1:] != column[:-1]
    edges = [0, *(np.flatnonzero(starts) + 1).tolist(), len(eps)]
    return (slice(a, b) for a, b in pairwise(edges))


def _part(
    codes: Mapping[str, NDArray[Any]],
    names: Mapping[str, list[str]],
    numbers: Mapping[str, NDArray[Any]],
    at: slice,
) -> Part:
    words = {name: str(names[name][column[at.start]]) for name, column in codes.items()}
    eps = float(numbers["eps"][at.start])
    columns = {name: column[at] for name, column in numbers.items()}
    return Part(**words, eps=None if np.isnan(eps) else eps, columns=columns)


def robust_scores(
    parts: Sequence[Part], budgets: Mapping[str, tuple[float, ...]]
) -> Iterator[tuple[Part, Score]]:
    """What `robench.core.outcomes.scores` gives for robust accuracy, the clean row first."""
    for part in parts:
        if part.attack == CLEAN:
            yield part, Score(CLEAN, "none", "", None, part.right)
        elif part.valid and part.search == "minimal":
            distance = part.columns[part.norm]
            for budget in (*budgets.get(part.attack, ()), None):
                limit = np.inf if budget is None else budget + TOLERANCE
                right = np.where(distance <= limit, part.right, part.clean_right)
                yield part, _score(part, budget, right & part.clean_right)
        elif part.valid:
            yield part, _score(part, part.eps, part.right & part.clean_right)


def _score(part: Part, eps: float | None, right: NDArray[np.bool_]) -> Score:
    return Score(part.attack, part.access, part.norm, eps, right)


def worst_right(
    scores: Sequence[tuple[Part, Score]], norm: str, eps: float | None
) -> NDArray[np.bool_] | None:
    """Per image whether it stands all attacks of a norm and eps; None without such an attack."""
    found = [
        score.right
        for part, score in scores
        if part.attack != CLEAN
        and part.search != "noise"
        and (score.norm, score.eps) == (norm, eps)
    ]
    return np.logical_and.reduce(found) if found and eps is not None else None
