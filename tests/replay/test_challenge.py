"""Better examples for a record: judged on its model, kept beside it, counted once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from robench.base.errors import UserError
from robench.core.threat import Threat
from robench.records.challenges import examples_file, read_challenges
from robench.records.consistent import Inspected
from robench.records.store import read, read_outcomes
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
        (lambda x: np.full(x.shape, np.nan, np.float32), "got one of image 0"),
        (lambda x: np.where(np.arange(len(x))[:, None, None, None] == 9, 255 - x, x), "image 9 at"),
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


@pytest.mark.parametrize("index", [[0, 0], [1, 0], [-1, 0], [0, 120], []])
def test_positions_are_increasing_and_there(
    weak: Path, places: Places, tmp_path: Path, index: list[int]
) -> None:
    clean = forger.subject(weak, places).test.images.numpy()
    given = np.array(index, np.int64)
    np.savez(tmp_path / "x.npz", images=clean[: len(index)], index=given)
    with pytest.raises(UserError, match="positions"):
        challenge(weak, tmp_path / "x.npz", "linf", 0.2, "me", places)


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
