"""A search of the audit against the run's best row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from robench.audit.best_row import best_row
from robench.audit.trial import USUAL


def first(count: int) -> NDArray[np.bool_]:
    """Right on the first `count` of 100 images."""
    return np.arange(100) < count


def test_a_search_that_beats_a_good_row_speaks_against_the_system() -> None:
    rows = {"fgsm (white_box)": first(90), "pgd (white_box)": first(80)}
    alone, together = best_row(rows, {USUAL: first(85), "margin": first(20)}, first(20), "quick")
    assert (alone.value, alone.verdict) == (0.6, "fail")
    assert "pgd (white_box), leaves 60.0 points more" in alone.sentence
    assert alone.sentence.endswith("margin")
    assert (together.value, together.verdict) == (0.75, "suspect")


def test_a_row_that_the_audit_does_not_beat_leaves_less() -> None:
    (found, _) = best_row({"pgd (white_box)": first(7)}, {USUAL: first(20)}, first(7), "quick")
    assert "pgd (white_box), leaves 13.0 points less accuracy than" in found.sentence


def test_what_only_all_searches_together_show() -> None:
    """Fractured gradients: each search breaks other images, and none beats the row."""
    alone, together = best_row(
        {"pgd (white_box)": first(50)}, {USUAL: first(49)}, first(24), "quick"
    )
    assert alone.verdict == "pass"
    assert (together.value, together.verdict) == (0.52, "suspect")


def test_a_weak_row_does_not() -> None:
    findings = list(
        best_row({"fgsm (white_box)": first(60)}, {USUAL: first(10)}, first(8), "quick")
    )
    assert [f.value for f in findings] == [0.5, None]
    assert {f.verdict for f in findings} == {"pass"}


def test_a_row_that_finds_as_much_passes() -> None:
    """One row that breaks the system is enough: then the best row means what it says."""
    rows = {"pgd (white_box)": first(80), "square (black_box)": first(20)}
    findings = best_row(rows, {USUAL: first(80), "margin": first(19)}, first(18), "quick")
    assert {f.verdict for f in findings} == {"pass"}


def test_without_rows_there_is_no_finding() -> None:
    assert not list(best_row({}, {USUAL: first(10)}, first(10), "quick"))


def test_a_full_audit_always_gains_together() -> None:
    (finding,) = best_row({"pgd (white_box)": first(50)}, {USUAL: first(49)}, first(30), "full")
    assert finding.check == "beats_best_row"
