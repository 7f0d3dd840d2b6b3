from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robench.base.errors import UserError
from robench.cli.main import main
from robench.core.record import SCHEMA_VERSION, Record
from robench.records.store import EXAMPLES, RECORD, find, folders, read
from robench.replay.verify import verify
from robench.run.config import Places


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One record of the embedded data with the cache it came from."""
    root = tmp_path_factory.mktemp("made")
    folders = [f"results={root / 'results'}", f"cache={root / 'cache'}"]
    options = ["attack=[fgsm,normal_noise]", "images=40", "train.epochs=3", "threads=1", *folders]
    assert main(["run", *options, "audit=off"]) == 0
    return next((root / "results").glob("*/record.json")).parent


def places(made: Path) -> Places:
    root = made.parents[1]
    return Places(results=root / "results", cache=root / "cache", threads=1)


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


def test_a_record_survives_json(made: Path) -> None:
    record = read(made)
    assert Record.model_validate_json(record.model_dump_json()) == record
    assert record.schema_version == SCHEMA_VERSION


def test_records_are_found_by_path_and_beginning(made: Path) -> None:
    assert find(made) == made == find(made / RECORD)
    assert find(made.name[:5], made.parent) == made
    with pytest.raises(UserError, match="0 matches"):
        find("zzzz", made.parent)
    assert list(folders(made.parent)) == [made]


def test_a_sound_record_verifies(made: Path) -> None:
    checks = verify(made, places(made))
    assert [check.attack for check in checks] == ["fgsm", "normal_noise"]
    assert all(check.equal for check in checks)


def test_changed_examples_are_found(copy: Path, made: Path) -> None:
    with np.load(copy / EXAMPLES, allow_pickle=False) as arrays:
        changed = {name: arrays[name].copy() for name in arrays.files}
    changed["row0"][:] = 0  # the clean images: legal, but not what fooled the model
    np.savez_compressed(copy / EXAMPLES, **changed)
    fgsm, noise = verify(copy, places(made))
    assert fgsm.different > 0
    assert not fgsm.equal
    assert noise.equal


def test_examples_outside_the_threat_are_found(copy: Path, made: Path) -> None:
    with np.load(copy / EXAMPLES, allow_pickle=False) as arrays:
        changed = {name: arrays[name].copy() for name in arrays.files}
    changed["row0"] ^= 255
    np.savez_compressed(copy / EXAMPLES, **changed)
    assert not verify(copy, places(made))[0].legal


@pytest.mark.parametrize("name", [EXAMPLES, "outcomes.parquet", RECORD])
def test_missing_and_damaged_files_are_one_error(copy: Path, made: Path, name: str) -> None:
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="expected"):
        verify(copy, places(made))
    (copy / name).unlink()
    with pytest.raises(UserError, match="expected"):
        verify(copy, places(made))


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_changed_record_is_read_or_refused_never_a_crash(made: Path, data: st.DataObject) -> None:
    content = json.loads((made / RECORD).read_text())
    key = data.draw(st.sampled_from(sorted(content)))
    junk = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)
    content[key] = data.draw(junk | st.dictionaries(st.text(max_size=3), junk, max_size=2))
    folder = made.parent.parent / "fuzz"
    folder.mkdir(exist_ok=True)
    (folder / RECORD).write_text(json.dumps(content))
    assert "\n" not in refusal(folder)


def refusal(folder: Path) -> str:
    """What reading a record folder says against it; nothing when it is sound."""
    try:
        read(folder)
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"id": NaN}', "\x00"])
def test_what_is_no_record_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / RECORD).write_text(text)
    with pytest.raises(UserError, match="expected a record of schema version"):
        read(tmp_path)
