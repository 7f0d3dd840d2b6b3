"""The fast reader gives what the outcomes table's own functions give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from robench.base.errors import UserError
from robench.core.outcomes import clean_score, scores, worst_cases
from robench.leaderboard.read.parts import read_parts, robust_scores, worst_right
from robench.records import store as results
from robench.records.compare import budgets


def test_scores_are_those_of_the_table(records: Path) -> None:
    for folder in results.folders(records):
        record, outcomes = results.read(folder), results.read_outcomes(folder)
        wanted = [
            clean_score(outcomes),
            *scores(outcomes, budgets(record), when_clean_right=True),
        ]
        parts = read_parts(folder)
        pairs = list(robust_scores(parts, budgets(record)))
        found = [score for _, score in pairs]
        assert [(s.attack, s.access, s.norm, s.eps) for s in found] == [
            (s.attack, s.access, s.norm, s.eps) for s in wanted
        ]
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(one.right, other.right)
        for worst in worst_cases(outcomes, budgets(record)):
            right = worst_right(pairs, worst.norm, worst.eps)
            assert right is not None
            np.testing.assert_array_equal(right, worst.right)


def test_a_table_without_a_column_is_refused(records: Path, tmp_path: Path) -> None:
    folder = next(results.folders(records))
    results.read_outcomes(folder).drop(columns="linf").to_parquet(tmp_path / results.OUTCOMES)
    with pytest.raises(UserError, match="expected columns linf"):
        read_parts(tmp_path)
