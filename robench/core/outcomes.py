"""The outcomes of a run: a line per test image, attack, access and eps; and its pure scores."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from robench.base.errors import UserError
from robench.base.stats import count, wilson
from robench.core.threat import TOLERANCE

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from robench.core.record import Axis

S = TypeVar("S", bound=np.generic)
CLEAN = "clean"
ABSTAIN = -1
"""The label a smoothed classifier returns when it is not sure; it counts as wrong."""
WORDS = ("attack", "access", "search", "norm")
"""Columns of words: one word for all images of a row."""
COLUMNS = {
    "image": "int32",
    "label": "int16",
    "attack": "string",
    "access": "string",
    "search": "string",
    "norm": "string",
    "eps": "float64",
    "clean_prediction": "int16",
    "prediction": "int16",
    "linf": "float32",
    "l2": "float32",
    "valid": "bool",
}
PER_IMAGE = ("image", "label", "clean_prediction", "prediction", "linf", "l2")
"""Columns in which the images of one row differ."""
_TYPES = {name: np.dtype(COLUMNS[name]) for name in PER_IMAGE}


def fixed(array: NDArray[S]) -> NDArray[S]:
    """The array, from now on read-only: several readers share it."""
    array.flags.writeable = False
    return array


def _sealed(column: NDArray[Any]) -> bool:
    """Whether nobody can ever write to an array, as one read from a table: it need not be copied.

    An array that is merely marked so can be marked otherwise, by whoever it is handed to.
    """
    if column.flags.writeable:
        return False
    root: Any = column
    while isinstance(root, np.ndarray):
        root = root.base
    return root is not None and memoryview(root).readonly


@dataclass(frozen=True, eq=False)
class RowOutcomes:
    """The outcomes of one row of a run; arrays have shape (images,) and the types of COLUMNS."""

    attack: str
    access: str
    search: str
    norm: str
    eps: float | None
    """None for the clean row and for searches without a bound."""
    image: NDArray[np.int32]
    """Numbers in the test set."""
    label: NDArray[np.int16]
    clean_prediction: NDArray[np.int16]
    prediction: NDArray[np.int16]
    linf: NDArray[np.float32]
    l2: NDArray[np.float32]
    """Distances to the clean image in [0,1] pixels."""
    valid: bool
    """Whether the attack worked."""

    def __post_init__(self) -> None:
        for name in PER_IMAGE:
            column = np.asarray(getattr(self, name), _TYPES[name])
            shared = column if _sealed(column) else fixed(column.copy())
            object.__setattr__(self, name, shared)

    def __len__(self) -> int:
        return len(self.label)

    def content(self) -> dict[str, Any]:
        """All that the row says, as JSON-like data; its columns by their SHA-256."""
        columns = {n: hashlib.sha256(getattr(self, n).tobytes()).hexdigest() for n in PER_IMAGE}
        return {f.name: getattr(self, f.name) for f in fields(self)} | columns

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """Per image whether the attacked label is right."""
        return fixed(self.prediction == self.label)

    @cached_property
    def clean_right(self) -> NDArray[np.bool_]:
        """Per image whether the clean label is right."""
        return fixed(self.clean_prediction == self.label)

    @cached_property
    def robust(self) -> NDArray[np.bool_]:
        """Per image whether both labels are right."""
        return fixed(self.right & self.clean_right)

    @cached_property
    def scored(self) -> dict[tuple[tuple[float, ...], bool], tuple[Score, ...]]:
        """Its scores, by budgets and by whether the clean label counts too, once they are made."""
        return {}

    @property
    def distance(self) -> NDArray[np.float32]:
        """Distances to the clean images in the row's norm; raises UserError for another norm."""
        if self.norm not in ("linf", "l2"):
            raise UserError(f"expected norm linf or l2 of {self.attack}, got {self.norm!r}")
        return self.linf if self.norm == "linf" else self.l2


@dataclass(frozen=True, eq=False)
class Outcomes:
    """All outcomes of a run, cut into its rows: the clean one first, then attack by attack."""

    rows: tuple[RowOutcomes, ...]

    @cached_property
    def clean(self) -> RowOutcomes:
        """The row of the clean images; raises UserError where there is none."""
        for row in self.rows:
            if row.attack == CLEAN:
                return row
        raise UserError("expected outcomes of the clean images, got none")

    @cached_property
    def attacked(self) -> tuple[RowOutcomes, ...]:
        """The rows of the attacks that worked."""
        return tuple(row for row in self.rows if row.valid and row.attack != CLEAN)

    def find(self, attack: str, access: str, norm: str, eps: float | None) -> RowOutcomes:
        """One row; raises UserError where there is none."""
        wanted = attack, access, norm, eps
        if wanted not in self._rows:
            raise UserError(f"expected outcomes of the row {wanted}, got none")
        return self._rows[wanted]

    @cached_property
    def _rows(self) -> dict[tuple[str, str, str, float | None], RowOutcomes]:
        """The rows by what they are found by, of equal ones the first."""
        return {(row.attack, row.access, row.norm, row.eps): row for row in reversed(self.rows)}

    def __getitem__(self, column: str) -> NDArray[Any]:
        """A whole column of the table, row after row; raises KeyError for an unknown one."""
        if column in PER_IMAGE:
            return np.concatenate([getattr(row, column) for row in self.rows])
        if column == "eps":
            each: list[Any] = [np.nan if row.eps is None else row.eps for row in self.rows]
        elif column in COLUMNS:
            each = [getattr(row, column) for row in self.rows]
        else:
            raise KeyError(column)
        return np.repeat(np.array(each), [len(row) for row in self.rows])

    def to_pandas(self) -> pd.DataFrame:
        """The table as a frame with the columns and types of COLUMNS."""
        import pandas as pd

        return pd.DataFrame({name: self[name] for name in COLUMNS}).astype(COLUMNS)


@dataclass(frozen=True)
class Score:
    """Per-image successes of one row under one eps, and their share with a Wilson interval."""

    attack: str
    access: str
    norm: str
    eps: float | None
    right: NDArray[np.bool_]

    @property
    def value(self) -> float:
        """Share of images that count as right."""
        return count(self.right) / len(self.right)

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson 95 % interval."""
        return wilson(count(self.right), len(self.right))

    @property
    def axes(self) -> dict[str, Axis]:
        """What a value made of it belongs to."""
        return {"attack": self.attack, "access": self.access, "norm": self.norm, "eps": self.eps}


Budgets = Mapping[str, tuple[float, ...]]
"""Eps at which a minimum-norm attack's accuracy is given, by attack."""


def clean_score(outcomes: Outcomes) -> Score:
    """Accuracy on the clean images."""
    return Score(CLEAN, "none", "", None, outcomes.clean.right)


def scores(outcomes: Outcomes, budgets: Budgets, *, when_clean_right: bool) -> Iterator[Score]:
    """Accuracy of every valid row; a minimum-norm row at each budget and without one.

    `when_clean_right` counts an image only if it is right clean too (robust accuracy); else every
    attacked image counts by its attacked label alone (attacked accuracy).
    """
    for row in outcomes.attacked:
        yield from _scores_of(row, budgets, when_clean_right)


def _scores_of(row: RowOutcomes, budgets: Budgets, when_clean_right: bool) -> tuple[Score, ...]:
    """A row's scores, each made once: ten checks and the row's page ask for them."""
    asked = budgets.get(row.attack, ()), when_clean_right
    if asked not in row.scored:
        row.scored[asked] = tuple(_made_of(row, *asked))
    return row.scored[asked]


def _made_of(
    row: RowOutcomes, budgets: tuple[float, ...], when_clean_right: bool
) -> Iterator[Score]:
    if row.search != "minimal":
        right = row.robust if when_clean_right else row.right
        yield Score(row.attack, row.access, row.norm, row.eps, right)
        return
    for eps, right in _right_at(row, budgets):
        kept = right & row.clean_right if when_clean_right else right
        yield Score(row.attack, row.access, row.norm, eps, fixed(kept))


def _right_at(
    row: RowOutcomes, budgets: tuple[float, ...]
) -> Iterator[tuple[float | None, NDArray[np.bool_]]]:
    """Per budget of a search without a bound, and for none, which images it leaves right."""
    for budget in (*budgets, None):
        limit = np.inf if budget is None else budget + TOLERANCE
        # Beyond the budget the attacker has nothing better than the clean image.
        yield budget, np.where(row.distance <= limit, row.right, row.clean_right)


def abstaining_as_right(outcomes: Outcomes) -> Outcomes:
    """The outcomes with the true label wherever a model abstained, clean or attacked.

    Scores of these count what no attack turned into a wrong label: where a smoothed classifier is
    certified it may abstain, since few votes decide, but not err.
    """
    return Outcomes(tuple(map(_abstaining_as_right, outcomes.rows)))


def _abstaining_as_right(row: RowOutcomes) -> RowOutcomes:
    return replace(
        row,
        clean_prediction=np.where(row.clean_prediction == ABSTAIN, row.label, row.clean_prediction),
        prediction=np.where(row.prediction == ABSTAIN, row.label, row.prediction),
    )


def scores_by_threat(outcomes: Outcomes, budgets: Budgets) -> dict[tuple[str, float], list[Score]]:
    """Robust accuracy of the rows of each (norm, eps), every access; noise and unbounded searches
    are under none."""
    found: dict[tuple[str, float], list[Score]] = {}
    for row in outcomes.attacked:
        if row.search == "noise":
            continue
        for score in _scores_of(row, budgets, when_clean_right=True):
            if score.eps is not None:
                found.setdefault((score.norm, score.eps), []).append(score)
    return found


def rows_by_threat(outcomes: Outcomes, budgets: Budgets) -> dict[tuple[str, float], list[Score]]:
    """The rows under each threat that an audit judges: one that allows a change."""
    found = scores_by_threat(outcomes, budgets)
    return {(norm, eps): rows for (norm, eps), rows in found.items() if eps}


def worst_cases(outcomes: Outcomes, budgets: Budgets) -> Iterator[Score]:
    """Per image the worst over all attacks of one norm and eps, every access; noise is left out."""
    for (norm, eps), same in scores_by_threat(outcomes, budgets).items():
        right = np.logical_and.reduce([score.right for score in same])
        yield Score("worst_case", "any", norm, eps, right)
