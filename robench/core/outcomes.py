"""The outcomes table: a row per test image, attack, access and eps; and its pure scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from robench.base.stats import wilson
from robench.core.threat import TOLERANCE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from robench.plugin.scenario import Scenario
    from robench.run.attacks import Judgement

CLEAN = "clean"
KEYS = ["attack", "access", "norm", "eps"]
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


def empty() -> pd.DataFrame:
    """A table without rows."""
    return pd.DataFrame({name: [] for name in COLUMNS}).astype(COLUMNS)


def outcome_rows(
    row: Scenario | None,
    judged: Judgement | None,
    clean: Judgement,
    images: NDArray[np.int64],
    labels: NDArray[np.int64],
) -> pd.DataFrame:
    """The table's part for one row; `row=None` is the clean one, `judged=None` an invalid one."""
    result = judged or clean
    frame = pd.DataFrame(
        {
            "image": images,
            "label": labels,
            "attack": row.attack if row else CLEAN,
            "access": row.access if row else "none",
            "search": row.search if row else CLEAN,
            "norm": row.threat.norm if row else "",
            "eps": row.threat.eps if row and row.threat.eps is not None else np.nan,
            "clean_prediction": clean.labels.numpy(),
            "prediction": result.labels.numpy(),
            "linf": result.linf.numpy(),
            "l2": result.l2.numpy(),
            "valid": judged is not None or row is None,
        }
    )
    return frame.astype(COLUMNS)


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
        return float(self.right.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson 95 % interval."""
        return wilson(int(self.right.sum()), len(self.right))


def clean_score(outcomes: pd.DataFrame) -> Score:
    """Accuracy on the clean images."""
    part = outcomes[outcomes.attack == CLEAN]
    return Score(CLEAN, "none", "", None, (part.prediction == part.label).to_numpy())


def scores(
    outcomes: pd.DataFrame, budgets: Mapping[str, tuple[float, ...]], *, when_clean_right: bool
) -> Iterator[Score]:
    """Accuracy of every valid row; a minimum-norm row at each budget and without one.

    `when_clean_right` counts an image only if it is right clean too (robust accuracy); else every
    attacked image counts by its attacked label alone (attacked accuracy).
    """
    for (attack, access, norm, eps), part in _rows(outcomes):
        right = (part.prediction == part.label).to_numpy()
        clean = (part.clean_prediction == part.label).to_numpy()
        if part["search"].iloc[0] == "minimal":
            distance = part[norm].to_numpy()
            for budget in (*budgets.get(attack, ()), None):
                limit = np.inf if budget is None else budget + TOLERANCE
                # Beyond the budget the attacker has nothing better than the clean image.
                at_budget = np.where(distance <= limit, right, clean)
                kept = at_budget & clean if when_clean_right else at_budget
                yield Score(attack, access, norm, budget, kept)
        else:
            yield Score(attack, access, norm, eps, right & clean if when_clean_right else right)


def worst_cases(
    outcomes: pd.DataFrame, budgets: Mapping[str, tuple[float, ...]]
) -> Iterator[Score]:
    """Per image the worst over all attacks of one norm and eps, every access; noise is left out."""
    noise = set(outcomes.attack[outcomes["search"] == "noise"])
    together: dict[tuple[str, float], list[NDArray[np.bool_]]] = {}
    for score in scores(outcomes, budgets, when_clean_right=True):
        if score.eps is not None and score.attack not in noise:
            together.setdefault((score.norm, score.eps), []).append(score.right)
    for (norm, eps), parts in together.items():
        yield Score("worst_case", "any", norm, eps, np.logical_and.reduce(parts))


def _rows(
    outcomes: pd.DataFrame,
) -> Iterator[tuple[tuple[str, str, str, float | None], pd.DataFrame]]:
    attacked = outcomes[(outcomes.attack != CLEAN) & outcomes.valid]
    for _, part in attacked.groupby(KEYS, sort=False, dropna=False):
        first = part.iloc[0]
        eps = float(first.eps)
        key = str(first.attack), str(first.access), str(first.norm)
        yield (*key, None if np.isnan(eps) else eps), part
