"""What an audit found is saved, and `robench verify` judges it again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from robench.base.errors import UserError
from robench.cli.main import main
from robench.records.store import EXAMPLES, read
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


def test_the_audited_accuracy_is_scored_again(made: Path) -> None:
    fgsm, audit = verify(made, places(made))
    assert fgsm.equal
    assert (audit.attack, audit.n, audit.different, audit.legal) == ("audit (quick)", 60, 0, True)
    table = pd.read_parquet(made / "audit.parquet")
    value = read(made).find("audited_accuracy")
    assert value is not None
    assert table.held.mean() == value.value
    assert (table.clean & ~table.held).sum() > 10


def test_examples_that_fool_nobody_are_found(copy: Path, made: Path) -> None:
    change(copy, np.zeros_like)
    fgsm, audit = verify(copy, places(made))
    assert fgsm.equal
    assert audit.different > 0
    assert not audit.equal


def test_examples_outside_the_ball_are_found(copy: Path, made: Path) -> None:
    change(copy, np.invert)
    assert not verify(copy, places(made))[1].legal


def test_an_embellished_table_is_found(copy: Path, made: Path) -> None:
    table = pd.read_parquet(copy / "audit.parquet")
    table["held"] = table["rows"] = table["clean"] = True
    table.to_parquet(copy / "audit.parquet", index=False)
    assert not verify(copy, places(made))[1].equal


def test_a_table_of_other_images_is_refused(copy: Path, made: Path) -> None:
    table = pd.read_parquet(copy / "audit.parquet")
    table["position"] += 1
    table.to_parquet(copy / "audit.parquet", index=False)
    with pytest.raises(UserError, match="images in the audit's table"):
        verify(copy, places(made))


def test_a_damaged_table_is_one_error(copy: Path, made: Path) -> None:
    (copy / "audit.parquet").write_bytes(b"no table")
    with pytest.raises(UserError, match=r"expected a table at .*audit\.parquet"):
        verify(copy, places(made))


def test_records_from_before_say_so(
    copy: Path, made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (copy / "audit.parquet").unlink()
    assert [check.attack for check in verify(copy, places(made))] == ["fgsm"]
    assert "audits are not judged again" in capsys.readouterr().err
