"""Which examples a record keeps: enough to show all that it says is broken, and no more."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from robench.base.errors import UserError
from robench.core.outcomes import Outcomes, RowOutcomes
from robench.core.pixels import stored
from robench.records.examples import header, load_kept, save_examples, shown

IMAGES = 6
BALLS = st.tuples(st.sampled_from(["linf", "l2"]), st.sampled_from([0.1, 0.2, 0.3]))
LABELS = st.lists(st.integers(0, 2), min_size=IMAGES, max_size=IMAGES)


def row(
    norm: str, eps: float | None, labels: list[int], clean: list[int], search: str
) -> RowOutcomes:
    far = np.zeros(IMAGES)
    return RowOutcomes(
        attack="a",
        access="white_box",
        search=search,
        norm=norm,
        eps=eps,
        image=np.arange(IMAGES),
        label=np.zeros(IMAGES),
        clean_prediction=np.array(clean),
        prediction=np.array(labels),
        linf=far,
        l2=far,
        valid=True,
    )


@given(st.lists(st.tuples(BALLS, LABELS), max_size=6), LABELS)
def test_what_a_ball_breaks_is_shown_once_in_it(
    made: list[tuple[tuple[str, float], list[int]]], clean: list[int]
) -> None:
    rows = [row(norm, eps, labels, clean, "ball") for (norm, eps), labels in made]
    kept = shown(rows)
    for at, one in enumerate(rows):
        smaller = [
            kept[j] for j, r in enumerate(rows) if r.norm == one.norm and (r.eps or 0) <= one.eps
        ]
        turned = one.prediction != one.clean_prediction
        assert not (kept[at] & ~turned).any(), "what did not change shows nothing"
        assert not (turned & ~np.any(smaller, axis=0)).any(), "all that changed is shown"
    for norm in ("linf", "l2"):
        mine = [kept[j] for j, r in enumerate(rows) if r.norm == norm]
        assert not mine or np.sum(mine, axis=0).max() <= 1, "and shown once"


@pytest.mark.parametrize(("search", "eps"), [("noise", 0.1), ("minimal", None)])
def test_noise_and_nearest_errors_show_nothing_of_balls(search: str, eps: float | None) -> None:
    clean, turned = [0] * IMAGES, [1] * IMAGES
    balls = row("linf", 0.1, turned, clean, "ball")
    others = row("linf", eps, turned, clean, search)
    assert all(mask.all() for mask in shown([others, balls, others]))


@dataclass
class Examples:
    stored: torch.Tensor


def evidence(
    rows: list[RowOutcomes], images: list[torch.Tensor], randomised: bool, grid: bool
) -> Any:
    threat = SimpleNamespace(threat=SimpleNamespace(grid=grid))
    clean = torch.arange(IMAGES * 4, dtype=torch.uint8).reshape(IMAGES, 1, 2, 2)
    return SimpleNamespace(
        outcomes=Outcomes(tuple(rows)),
        examples=tuple((threat, Examples(stored(one, grid))) for one in images),
        test=SimpleNamespace(images=clean),
        system=SimpleNamespace(deployed=SimpleNamespace(randomised=randomised)),
    )


@pytest.mark.parametrize("grid", [True, False])
@pytest.mark.parametrize("randomised", [False, True])
def test_they_come_back_bit_for_bit(tmp_path: Path, randomised: bool, grid: bool) -> None:
    clean = [0] * IMAGES
    rows = [row("linf", 0.2, [0, 1, 0, 1, 1, 0], clean, "ball")]
    rows += [row("linf", 0.1, [0, 0, 0, 1, 0, 2], clean, "ball")]
    rng = torch.Generator().manual_seed(0)
    images = [torch.randint(256, (IMAGES, 1, 2, 2), generator=rng).float() / 255 for _ in rows]
    made = evidence(rows, images, randomised, grid)
    save_examples(made, tmp_path / "x.npz", {})
    for number, wanted in enumerate(([1, 4], [3, 5])):
        mask = shown(rows)[number]
        at, found = load_kept(tmp_path / "x.npz", f"row{number}", made.test.images, mask)
        assert at.tolist() == (list(range(IMAGES)) if randomised else wanted)
        assert torch.equal(found, images[number][at])


def test_older_records_keep_all_and_others_are_refused(tmp_path: Path) -> None:
    clean, mask = torch.zeros(IMAGES, 1, 2, 2, dtype=torch.uint8), np.arange(IMAGES) < 2
    for count, kept in ((IMAGES, IMAGES), (2, 2)):
        np.savez(tmp_path / "x.npz", row0=np.ones((count, 1, 2, 2), np.uint8))
        assert len(load_kept(tmp_path / "x.npz", "row0", clean, mask)[0]) == kept
    for shape in [(3, 1, 2, 2), (IMAGES, 1, 2, 3), (0, 1, 2, 2), (IMAGES,)]:
        np.savez(tmp_path / "x.npz", row0=np.ones(shape, np.uint8))
        with pytest.raises(UserError, match="expected row0 of shape"):
            load_kept(tmp_path / "x.npz", "row0", clean, mask)
    with pytest.raises(UserError, match="expected examples named row1"):
        load_kept(tmp_path / "x.npz", "row1", clean, mask)
    assert header(tmp_path / "x.npz", "row1") is None
