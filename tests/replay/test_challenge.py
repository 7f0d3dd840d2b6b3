"""Better examples for a record: judged on its model, kept beside it, counted once."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from robench.base.errors import UserError
from robench.base.hashing import file_hash
from robench.core.threat import Threat
from robench.records.challenges import (
    Challenge,
    examples_file,
    read_challenges,
    write_challenge,
)
from robench.records.consistent import Inspected
from robench.records.store import read, read_outcomes
from robench.records.trust import content
from robench.replay import challenge as module
from robench.replay import verify as verification
from robench.replay.challenge import challenge
from robench.run.config import Places
from robench.search import GradientSearch
from tests.replay import forger

Copy = Callable[[Path], Path]


@pytest.fixture
def weak(
    program_record: Path, copied: Copy, places: Places, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A record whose rows and audit left all that is right clean."""

    def read_alone(folder: Path) -> Inspected:
        return Inspected(read(folder), read_outcomes(folder), ())

    monkeypatch.setattr(module, "inspect", read_alone)
    monkeypatch.setattr(verification, "inspect", read_alone)
    folder = copied(program_record)
    forger.with_examples(folder, places, lambda _, clean: clean)
    forger.invent_audit(folder, places)
    return folder


def better(folder: Path, places: Places) -> tuple[np.ndarray, np.ndarray]:
    """Examples by a search of a few steps, 8 bits, and which of them break the model."""
    known, threat = forger.subject(folder, places), Threat("linf", 0.2)
    images, labels = known.test.float_images(), known.test.labels
    search = GradientSearch(steps=10, step=2.5, random_start=True, best=True)
    twin, rng = known.system.twin, torch.Generator().manual_seed(0)
    found = threat.project(search.run(twin, images, labels, threat, rng).detach(), images)
    clean = known.labels(images, "x") == labels.numpy()
    wrong = known.labels(found, "x") != labels.numpy()
    return (found * 255).round().to(torch.uint8).numpy(), np.flatnonzero(clean & wrong)


def test_what_breaks_a_row_is_kept_and_counted_once(
    weak: Path, places: Places, tmp_path: Path
) -> None:
    images, broken = better(weak, places)
    assert len(broken) > 20
    np.savez(tmp_path / "x.npz", images=images)
    found = challenge(weak, tmp_path / "x.npz", "linf", 0.2, "ten steps", places)
    assert (found.examples, found.broken) == (120, len(broken))
    assert found.held >= found.broken
    (kept,) = read_challenges(weak)
    assert kept.broken == tuple(broken.tolist())
    assert (kept.norm, kept.eps, kept.source) == ("linf", 0.2, "ten steps")
    assert found.path == examples_file(weak, kept).with_suffix(".json")

    again = challenge(weak, tmp_path / "x.npz", "linf", 0.2, "the same", places)
    assert (again.broken, again.path) == (0, None)
    assert len(read_challenges(weak)) == 1
    steps = {s.name: s for s in verification.verify(weak, places, seed=0).steps}
    assert steps["challenges"].outcome == "pass"


def test_floats_on_the_grid_and_some_images_do(weak: Path, places: Places, tmp_path: Path) -> None:
    images, broken = better(weak, places)
    index = broken[:5]
    floats = (images[index] / np.float32(255)).astype(np.float32)
    np.savez(tmp_path / "x.npz", images=floats, index=index)
    found = challenge(weak, tmp_path / "x.npz", "linf", 0.2, "me", places)
    assert (found.examples, found.held, found.broken) == (5, 5, 5)
    assert read_challenges(weak)[0].broken == tuple(index.tolist())


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda x: x[:-1], "expected images of shape"),
        (lambda x: x.astype(np.int32), "expected images of shape"),
        (lambda x: (x + np.float32(0.5)) / np.float32(255), "between two steps"),
        (lambda x: np.full(x.shape, np.nan, np.float32), "got one at position 0"),
        (
            lambda x: np.where(np.arange(len(x))[:, None, None, None] == 9, 255 - x, x),
            "position 9, at",
        ),
    ],
)
def test_illegal_examples_are_one_line(
    weak: Path,
    places: Places,
    tmp_path: Path,
    change: Callable[[np.ndarray], np.ndarray],
    line: str,
) -> None:
    clean = forger.subject(weak, places).test.images.numpy()
    np.savez(tmp_path / "x.npz", images=change(clean))
    with pytest.raises(UserError, match=line):
        challenge(weak, tmp_path / "x.npz", "linf", 0.2, "me", places)
    assert read_challenges(weak) == []


def test_examples_that_are_not_there_are_one_line(
    weak: Path, places: Places, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"^expected a .npz file of examples at .*x.npz, got none$"):
        challenge(weak, tmp_path / "x.npz", "linf", 0.2, "me", places)
    (tmp_path / "x.npz").write_text("no archive")
    with pytest.raises(UserError, match="expected an archive of arrays"):
        challenge(weak, tmp_path / "x.npz", "linf", 0.2, "me", places)
    np.savez(tmp_path / "x.npz", examples=np.zeros(3))
    with pytest.raises(UserError, match=r"expected the array images, of shape \(120, .* and index"):
        challenge(weak, tmp_path / "x.npz", "linf", 0.2, "me", places)
    with pytest.raises(UserError, match=r"expected a threat of .* got linf 8/255$"):
        challenge(weak, tmp_path / "x.npz", "linf", 8 / 255, "me", places)


@pytest.mark.parametrize("index", [[0, 0], [1, 0], [-1, 0], [0, 120], []])
def test_positions_are_increasing_and_there(
    weak: Path, places: Places, tmp_path: Path, index: list[int]
) -> None:
    clean = forger.subject(weak, places).test.images.numpy()
    given = np.array(index, np.int64)
    np.savez(tmp_path / "x.npz", images=clean[: len(index)], index=given)
    with pytest.raises(UserError, match="positions"):
        challenge(weak, tmp_path / "x.npz", "linf", 0.2, "me", places)


SOURCES = ["", "x" * 201, "me\n  level: verified", "a\x1b[2Jb", "a\u202eb", " me", "   ", "a\tb"]


@pytest.mark.parametrize("source", SOURCES)
def test_a_source_is_one_visible_line(source: str, places: Places, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a source of 1 to 200 letters on one visible line"):
        challenge(tmp_path, tmp_path / "x.npz", "linf", 0.2, source, places)
    said = {"norm": "linf", "eps": 0.2, "date": "2026-11-21", "broken": [0], "examples": "0" * 64}
    with pytest.raises(ValidationError, match="one visible line"):
        Challenge.model_validate({**said, "source": source})
    assert Challenge.model_validate({**said, "source": "A <i>, B & C 2026"})


def test_a_challenge_that_dies_leaves_the_record_as_it_was(
    weak: Path, places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> Path:
        assert content(weak) == before
        raise KeyboardInterrupt

    images, _ = better(weak, places)
    np.savez(tmp_path / "x.npz", images=images)
    before = content(weak)
    for name in ("file_hash", "write_challenge"):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, die)
            with pytest.raises(KeyboardInterrupt):
                challenge(weak, tmp_path / "x.npz", "linf", 0.2, "me", places)
        assert content(weak) == before
        assert [path.name for path in weak.parent.iterdir()] == [weak.name]


@pytest.mark.parametrize("moved", [0, 255])
def test_positions_of_a_false_challenge_are_those_of_the_judged_images(
    weak: Path, places: Places, moved: int
) -> None:
    """Neither numbers in the test set nor places in the challenge."""
    work = weak / "x.npz"
    shape = forger.subject(weak, places).test.images.shape[1:]
    np.savez(work, images=np.full((2, *shape), moved, np.uint8))
    said = {"norm": "linf", "eps": 0.001, "source": "me", "date": "2026-11-21", "broken": [7, 90]}
    false = Challenge.model_validate({**said, "examples": file_hash(work)})
    work.rename(examples_file(weak, false))
    write_challenge(false, weak)
    steps = {s.name: s for s in verification.verify(weak, places, seed=0).steps}
    assert steps["challenges"].outcome == "fail"
    assert re.search("position (7|90) for one", steps["challenges"].text), steps["challenges"].text


def test_a_damaged_challenge_is_one_line(weak: Path, places: Places, tmp_path: Path) -> None:
    images, _ = better(weak, places)
    np.savez(tmp_path / "x.npz", images=images)
    path = challenge(weak, tmp_path / "x.npz", "linf", 0.2, "me", places).path
    assert path is not None
    text = path.read_text()
    for old, new in (("linf", "l9"), ('"source": "me"', '"source": ""'), ("0.2", "NaN")):
        path.write_text(text.replace(old, new))
        with pytest.raises(UserError, match="expected a challenge in"):
            read_challenges(weak)
    path.write_text(text)
    path.with_suffix(".npz").write_bytes(b"other")
    with pytest.raises(UserError, match="expected the examples of"):
        read_challenges(weak)
    path.with_suffix(".npz").unlink()
    path.with_suffix(".npz").symlink_to(tmp_path / "x.npz")
    with pytest.raises(UserError, match="expected a file of at most"):
        read_challenges(weak)
