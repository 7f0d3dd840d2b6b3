"""Which of several records of a system counts: on a page what it proves, and no clock."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from robench.studies import Measure, Records, Runs, Variant
from robench.studies.runs import Standing
from tests.studies.study_toys import put

PLAIN = Variant("plain", {"defense": ("none",)})
OTHER = Variant("other", {"defense": ("mulaw",)})
ROW = ("pgd", "white_box", 0.1)
MEASURES = [Measure("Clean"), Measure("PGD", attack="pgd")]


def standing(
    level: Any = "consistent", *, disputed: bool = False, score: float = 0.5, content: str = "c"
) -> Standing:
    return Standing(level, disputed, score, content)


def chosen(root: Path, known: dict[str, Standing]) -> list[Runs]:
    """What counts, whatever the order of the folders."""
    folders = {root / name: one for name, one in known.items()}
    return [
        Runs(Records(order), [PLAIN, OTHER], MEASURES, order, folders)
        for order in permutations(folders)
    ]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"level": "verified", "score": 0.9}, {"level": "consistent", "score": 0.1}),
        ({"level": "verified", "disputed": True}, {"level": "consistent"}),
        ({"disputed": False, "score": 0.9}, {"disputed": True, "score": 0.1}),
        ({"score": 0.1}, {"score": 0.9}),
        ({"content": "a"}, {"content": "b"}),
    ],
)
@pytest.mark.parametrize("clocks", [(1.0, 9e9), (9e9, 1.0)])
def test_what_proves_more_counts_then_what_is_worse(
    first: Any, second: Any, clocks: tuple[float, float], tmp_path: Path
) -> None:
    known = {"a": standing(**first), "b": standing(**second)}
    for name, finished in zip(known, clocks, strict=True):
        put(tmp_path, name, PLAIN, {ROW: 0.5}, finished=finished)
    for runs in chosen(tmp_path, known):
        assert [run.folder.name for run in runs] == ["a"]
        assert (runs.ignored, runs.unproven) == (1, 0)


def test_of_the_records_of_a_disputed_row_the_worse_counts(tmp_path: Path) -> None:
    for name, right in (("better", 0.9), ("worse", 0.1)):
        put(tmp_path, name, PLAIN, {ROW: right})
    for first, second in (("a", "b"), ("b", "a")):
        known = {
            "better": standing(disputed=True, content=first),
            "worse": standing(disputed=True, content=second),
        }
        for runs in chosen(tmp_path, known):
            assert [run.folder.name for run in runs] == ["worse"]


def test_of_what_proves_as_much_the_fuller_one_counts(tmp_path: Path) -> None:
    put(tmp_path, "full", PLAIN, {ROW: 0.9})
    put(tmp_path, "bare", PLAIN, {})
    known = {"full": standing(score=0.9), "bare": standing(score=0.1)}
    for runs in chosen(tmp_path, known):
        assert [run.folder.name for run in runs] == ["full"]
    for runs in chosen(tmp_path, known | {"bare": standing("verified")}):
        assert [run.folder.name for run in runs] == ["bare"]


def test_what_is_only_reported_never_counts(tmp_path: Path) -> None:
    put(tmp_path, "a", PLAIN, {})
    put(tmp_path, "b", PLAIN, {ROW: 0.5})
    put(tmp_path, "c", OTHER, {ROW: 0.5})
    reported = dict.fromkeys("bc", standing("reported"))
    for runs in chosen(tmp_path, {"a": standing(), **reported}):
        assert [run.folder.name for run in runs] == ["a"]
        assert (runs.ignored, runs.unproven) == (0, 2)


def test_unverified_records_of_other_images_do_not_displace_verified_ones(tmp_path: Path) -> None:
    put(tmp_path, "a", PLAIN, {ROW: 0.5})
    for name, variant in (("b", PLAIN), ("c", OTHER)):
        put(tmp_path, name, variant, {ROW: 0.5}, subset="theirs")
    known = dict.fromkeys("abc", standing())
    for runs in chosen(tmp_path, known):
        assert {run.folder.name for run in runs} == {"b", "c"}
    for runs in chosen(tmp_path, known | {"a": standing("verified")}):
        assert [run.folder.name for run in runs] == ["a"]
        assert runs.ignored == 2


@pytest.mark.parametrize(
    ("made", "counts"),
    [
        ({"defense.none": "robench 0.1.0 / 1", "metric.x": "evil 1.0 / 1"}, True),
        ({"defense.none": "robench 9.9 / 2"}, True),
        ({"defense.none": "evil 1.0 / 1"}, False),
        ({"defense.none": "robench 0.1.0 / 1", "attack.pgd": "evil 1.0 / 1"}, False),
    ],
)
def test_a_component_of_the_same_name_by_another_maker_is_another(
    made: dict[str, str], counts: bool, tmp_path: Path
) -> None:
    put(tmp_path, "a", PLAIN, {ROW: 0.5}, components=made)
    assert len(list(Runs(Records(tmp_path), [PLAIN]))) == counts
