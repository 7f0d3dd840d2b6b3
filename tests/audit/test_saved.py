"""What an audit found is saved, and `robench verify` judges it again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from robench.cli.main import main
from robench.records.consistent import Inspected
from robench.records.store import EXAMPLES, read, read_outcomes
from robench.replay.verify import verify
from robench.run.config import Places

Change = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An audited record of the embedded data with the cache it came from."""
    root = tmp_path_factory.mktemp("made")
    folders = [f"results={root / 'results'}", f"cache={root / 'cache'}"]
    options = ["attack=fgsm", "images=60", "train.epochs=3", "threads=1", *folders]
    assert main(["run", *options, "audit=quick"]) == 0
    return next((root / "results").glob("*/record.json")).parent


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


def places(made: Path) -> Places:
    root = made.parents[1]
    return Places(results=root / "results", cache=root / "cache", threads=1)


def change(folder: Path, how: Change) -> None:
    with np.load(folder / EXAMPLES, allow_pickle=False) as arrays:
        changed = {name: arrays[name].copy() for name in arrays.files}
    changed["audit0"] = how(changed["audit0"])
    np.savez_compressed(folder / EXAMPLES, **changed)


def outcome(folder: Path, made: Path) -> tuple[str, str]:
    """How judging the audits again ended."""
    step = next(s for s in verify(folder, places(made), seed=0).steps if s.name == "audits")
    return step.outcome, step.text


@pytest.fixture(autouse=True)
def _files_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """What finds a change is the model, not the files' digests."""
    plain = lambda folder: Inspected(read(folder), read_outcomes(folder), ())  # noqa: E731
    monkeypatch.setattr("robench.replay.verify.inspect", plain)


def test_the_audited_accuracy_is_scored_again(made: Path) -> None:
    assert outcome(made, made) == (
        "pass",
        "the examples of 1 audits break the images that their tables name",
    )
    table = pd.read_parquet(made / "audit.parquet")
    value = read(made).find("audited_accuracy")
    assert value is not None
    assert table.held.mean() == value.value
    assert (table.clean & ~table.held).sum() > 10


def test_examples_that_fool_nobody_are_found(copy: Path, made: Path) -> None:
    change(copy, np.zeros_like)
    found, text = outcome(copy, made)
    assert found == "fail"
    assert "that it says are broken are not" in text


def test_examples_outside_the_ball_are_found(copy: Path, made: Path) -> None:
    change(copy, np.invert)
    assert outcome(copy, made)[0] == "fail"


def test_an_embellished_table_is_found(copy: Path, made: Path) -> None:
    table = pd.read_parquet(copy / "audit.parquet")
    table["held"] = table["rows"] = table["clean"] = True
    table.to_parquet(copy / "audit.parquet", index=False)
    assert outcome(copy, made)[0] == "fail"


def test_a_table_of_other_images_is_found(copy: Path, made: Path) -> None:
    table = pd.read_parquet(copy / "audit.parquet")
    table["position"] += 1
    table.to_parquet(copy / "audit.parquet", index=False)
    assert "not those that the configuration chooses" in outcome(copy, made)[1]


def test_a_damaged_table_is_one_sentence(copy: Path, made: Path) -> None:
    (copy / "audit.parquet").write_bytes(b"no table")
    found, text = outcome(copy, made)
    assert found == "fail"
    assert text.startswith("expected a table at ")


def test_records_from_before_say_so(copy: Path, made: Path) -> None:
    (copy / "audit.parquet").unlink()
    assert outcome(copy, made) == ("not done", "the record keeps no examples of its audits")
