"""What records of equal proof say otherwise is disputed, number by number, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robench.core.outcomes import Score
from robench.core.record import Audit, Value
from robench.leaderboard.write.disputed import marked
from robench.leaderboard.write.studies import study_page
from robench.studies import Claim, Difference, Measure, Records, Runs, Variant
from robench.studies.rivals import _contradict, otherwise
from robench.studies.runs import Standing, difference
from tests.studies.study_toys import put
from tests.studies.test_pages import row, study

PLAIN = Variant("plain", {"defense": ("none",)})
OTHER = Variant("other", {"defense": ("mulaw",)})
PGD, CLEAN = Measure("PGD", attack="pgd"), Measure("Clean")
ROW = ("pgd", "white_box", 0.1)


def norm(value: float | None, **given: Any) -> Value:
    return Value(**{"metric": "norm", "value": value, "axes": {"layer": "a"}} | given)


def told(root: Path, levels: dict[str, Any]) -> list[Runs]:
    """What records say otherwise than the one that counts, the first of `levels`."""
    standing = {
        root / name: Standing(level, disputed=False, score=0.5, content=name)
        for name, level in levels.items()
    }
    runs = Runs(Records(standing), [PLAIN], [PGD], standing, standing)
    run = runs.get(PLAIN)
    assert run is not None
    assert run.folder.name == "a"
    for measure in (PGD, CLEAN):
        runs.score(PLAIN, measure)
    return list(otherwise(runs, [PLAIN]))


def norms(runs: Runs) -> list[float | None]:
    run = runs.get(PLAIN)
    return [value.value for value in run.record.values] if run else []


@pytest.mark.parametrize(
    ("mine", "theirs", "apart"),
    [
        (norm(2.0), norm(2.0), False),
        (norm(2.0), norm(2.1), True),
        (norm(2.0), norm(None), True),
        (norm(2.0, low=1.9, high=2.1), norm(2.1, low=2.0, high=2.2), False),
        (norm(2.0, low=1.9, high=2.1), norm(2.3, low=2.2, high=2.4), True),
        (norm(2.0, low=0.0, high=9.0), norm(2.3, low=2.2, high=2.4), True),
        (norm(2.0, low=0.0, high=9.0), norm(2.3), True),
        (norm(2.0, unit="s"), norm(9.0, unit="s"), False),
        (norm(2.0, unit="s"), norm(9.0), True),
        (norm(2.0, axes={"layer": "a", "x": 1}), norm(9.0), True),
        (norm(2.0), norm(9.0, metric="another"), False),
    ],
)
def test_values_agree_within_the_narrower_interval(
    mine: Value, theirs: Value, apart: bool, tmp_path: Path
) -> None:
    put(tmp_path, "a", PLAIN, {ROW: 0.1}, values=(mine,))
    put(tmp_path, "b", PLAIN, {ROW: 0.1}, values=(theirs,))
    level = dict.fromkeys("ab", "consistent")
    assert bool(told(tmp_path, level)) is apart
    assert told(tmp_path, {"a": "verified", "b": "consistent"}) == []


@pytest.mark.parametrize(("right", "apart"), [(0.51, False), (0.6, True)])
def test_images_agree_unless_they_differ_beyond_chance(
    right: float, apart: bool, tmp_path: Path
) -> None:
    put(tmp_path, "a", PLAIN, {ROW: 0.5})
    put(tmp_path, "b", PLAIN, {ROW: right})
    scores = [one.score(PLAIN, PGD) for one in told(tmp_path, dict.fromkeys("ab", "consistent"))]
    assert [score.value for score in scores if score] == ([0.5, right] if apart else [])


@pytest.mark.parametrize(("right", "apart"), [(0, True), (5, False)])
def test_few_chosen_images_are_no_answer(right: int, apart: bool) -> None:
    """Ten images that a record gets wrong say no more of five hundred than it says itself."""

    def cell(hits: int, images: Any) -> Any:
        return Score("pgd", "white_box", "linf", 0.1, np.arange(len(images)) < hits), images

    many, few = cell(200, np.arange(500)), cell(right, np.arange(490, 500))
    assert difference(many, few) is not None
    assert _contradict(many, few) == _contradict(few, many) == apart


def test_no_crowd_of_copies_hides_what_one_record_says(tmp_path: Path) -> None:
    said = {"a": 1.0, "b": 1.0, "honest": 3.0, "d": 1.0, "e": 2.0}
    for name, number in said.items():
        put(tmp_path, name, PLAIN, {ROW: 0.1}, values=(norm(number),))
    for order in permutations(list(said)[1:]):
        sides = told(tmp_path, dict.fromkeys(["a", *order], "consistent"))
        assert [norms(side) for side in sides] == [[1.0], [3.0]]


def test_another_verdict_is_another_answer(tmp_path: Path) -> None:
    for name, verdict in (("a", "pass"), ("b", "fail")):
        audit = Audit(norm="linf", eps=0.1, level="full", n=9, verdict=verdict)  # type: ignore[arg-type]
        put(tmp_path, name, PLAIN, {ROW: 0.1}, audit=(audit,))
    found = [one.get(PLAIN) for one in told(tmp_path, dict.fromkeys("ab", "consistent"))]
    assert [run.record.audit[0].verdict for run in found if run] == ["fail", "pass"]


def show(read: Callable[[Runs, Variant], object], runs: Runs) -> str:
    cells = "\n".join(f"| {one.label} | {read(runs, one)} |" for one in (PLAIN, OTHER))
    return f"## Norms\n\n| model | norm |\n|---|---|\n{cells}"


def _norm(runs: Runs, variant: Variant) -> object:
    run = runs.get(variant)
    return run.record.values[0].value if run else "not run"


def test_a_page_marks_what_records_of_equal_proof_dispute(tmp_path: Path) -> None:
    rows = []
    for name, variant, right, number in (
        ("0a", PLAIN, 0.2, 1.5),
        ("0b", PLAIN, 0.9, 2.5),
        ("0c", OTHER, 0.5, 3.5),
    ):
        put(tmp_path, name, variant, {ROW: right}, values=(norm(number),))
        rows.append(row(tmp_path / name, name, right))
    claims = [
        Claim("C", "w", [Difference((PLAIN, PGD), (OTHER, PGD), least=0.0)]),
        Claim("D", "w", [Difference((PLAIN, CLEAN), (OTHER, CLEAN), least=-0.1)]),
    ]
    made = study(tables={"T": [CLEAN, PGD]}, claims=claims, sections=[partial(show, _norm)])
    text = study_page(made, rows, [])
    assert text is not None
    assert text.count('<small class="note">disputed</small>') == 2  # a cell, and a verdict
    assert '20.0</span><small>15.0\N{EN DASH}26.1</small><small class="note">disputed' in text
    assert 'C<small class="note">disputed' in text
    assert ">1.5 (disputed)<" in text
    assert ">3.5<" in text
    assert text.count("(disputed)") == 2  # that norm, and what decides the claim
    assert "several records of one system prove as much" in text.lower()
    alone = study_page(made, rows[1:], [])
    assert alone is not None
    assert "disputed" not in alone


@pytest.mark.parametrize(
    ("text", "others", "expected"),
    [
        ("a\n- b", ["a\n- b"], "a\n- b"),
        ("a\n- b", ["a\n- c"], "a\n- b (disputed)"),
        ("| a | 1 |", ["| a | 1 |", "| a | 2 |"], "| a | 1 (disputed) |"),
        ("| a | 1 |", ["| a |"], "| a (disputed) | 1 |"),
        ("## t\n\na", ["## t"], "## t (disputed)\n\na"),
        ("a", [], "a"),
    ],
)
def test_what_differs_is_marked_where_it_stands(
    text: str, others: list[str], expected: str
) -> None:
    assert marked(text, others) == expected
