"""A search of the audit against the run's best row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from robench.audit.best_row import beats_best_row
from robench.audit.trial import USUAL


def first(count: int) -> NDArray[np.bool_]:
    """Right on the first `count` of 100 images."""
    return np.arange(100) < count


def test_a_search_that_beats_a_good_row_speaks_against_the_system() -> None:
    rows = {"fgsm (white_box)": first(90), "pgd (white_box)": first(80)}
    (finding,) = beats_best_row(rows, {USUAL: first(85), "margin": first(20)})
    assert (finding.value, finding.verdict) == (0.6, "fail")
    assert "pgd (white_box), leaves 60.0 points more" in finding.sentence
    assert finding.sentence.endswith("margin")


def test_a_weak_row_does_not() -> None:
    (finding,) = beats_best_row({"fgsm (white_box)": first(60)}, {USUAL: first(10)})
    assert (finding.value, finding.verdict) == (0.5, "pass")


def test_a_row_that_finds_as_much_passes() -> None:
    """One row that breaks the system is enough: then the best row means what it says."""
    rows = {"pgd (white_box)": first(80), "square (black_box)": first(20)}
    (finding,) = beats_best_row(rows, {USUAL: first(80), "margin": first(19)})
    assert finding.verdict == "pass"


def test_without_rows_there_is_no_finding() -> None:
    assert not list(beats_best_row({}, {USUAL: first(10)}))
