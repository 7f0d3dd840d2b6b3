from __future__ import annotations

import json
import shutil
import uuid
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib import format as npy

from robench.base.errors import UserError
from robench.base.hashing import file_hash
from robench.cli.main import main
from robench.core.record import SCHEMA_VERSION, Record
from robench.records import store
from robench.records.examples import read_array
from robench.records.store import (
    EXAMPLES,
    OUTCOMES,
    PROGRAM,
    RECORD,
    WEIGHTS,
    artefact,
    find,
    folders,
    read,
)
from robench.replay.verify import verify
from robench.run.config import Places


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One record of the embedded data with the cache it came from."""
    root = tmp_path_factory.mktemp("made")
    folders = [f"results={root / 'results'}", f"cache={root / 'cache'}"]
    options = ["attack=[fgsm,normal_noise]", "images=80", "train.epochs=3", "threads=1", *folders]
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
    with pytest.raises(UserError, match="no match"):
        find("zzzz", made.parent)
    assert list(folders(made.parent)) == [made]


def put(results: Path, name: str, text: str) -> None:
    """What `write` ends with: a folder of a unique name, in the record's place."""
    work = results / f".{name}.{uuid.uuid4().hex}.partial"
    work.mkdir()
    (work / RECORD).write_text(text)
    store._replace(work, results / name)


def test_many_writers_of_one_record_leave_one_whole(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: put(tmp_path, "id", str(n)), range(40)))
    assert (tmp_path / "id" / RECORD).read_text() in map(str, range(40))
    assert {path.name for path in tmp_path.iterdir()} == {"id", ".locks"}


def test_a_record_lists_the_files_that_prove_it(made: Path) -> None:
    files = read(made).files
    assert sorted(files) == [EXAMPLES, WEIGHTS, OUTCOMES]
    assert {name: file_hash(made / name) for name in files} == files


def test_a_program_is_kept_in_the_place_of_weights(tmp_path: Path) -> None:
    (tmp_path / WEIGHTS).touch()
    assert artefact(tmp_path) == tmp_path / WEIGHTS
    (tmp_path / PROGRAM).touch()
    assert artefact(tmp_path) == tmp_path / PROGRAM


def test_a_sound_record_verifies(made: Path) -> None:
    assert verify(made, places(made), seed=0).level == "verified"


@pytest.mark.parametrize("name", [EXAMPLES, "outcomes.parquet"])
def test_missing_and_damaged_files_are_one_sentence(copy: Path, made: Path, name: str) -> None:
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[: len(content) // 2])
    assert "expected" in failure(copy, made)
    (copy / name).unlink()
    assert "expected" in failure(copy, made)


def failure(folder: Path, made: Path) -> str:
    """What is wrong with a record, when that is one thing."""
    (step,) = (step for step in verify(folder, places(made)).steps if step.outcome == "fail")
    assert "\n" not in step.text
    return step.text


def test_a_missing_or_damaged_record_is_one_error(copy: Path, made: Path) -> None:
    (copy / RECORD).write_text("{")
    with pytest.raises(UserError, match="expected"):
        verify(copy, places(made))
    (copy / RECORD).unlink()
    with pytest.raises(UserError, match="expected"):
        verify(copy, places(made))


@pytest.mark.parametrize("shape", [(10**9, 10**4), (3,)])
def test_an_array_of_another_shape_is_not_unpacked(tmp_path: Path, shape: tuple[int, ...]) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive, archive.open("a.npy", "w") as file:
        npy.write_array_header_1_0(file, header)
    with pytest.raises(UserError, match="expected a of shape"):
        read_array(tmp_path / "x.npz", "a", (4, 4), ("uint8",))


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


def fields(content: Any, *place: str | int) -> Iterator[tuple[str | int, ...]]:
    """The place of every field; of a list those of its first element."""
    if isinstance(content, list) and content:
        yield from fields(content[0], *place, 0)
    elif isinstance(content, dict):
        for name, value in content.items():
            yield (*place, name)
            yield from fields(value, *place, name)


def test_a_record_without_a_field_is_read_or_refused_in_one_line(made: Path) -> None:
    folder, refused = made.parent.parent / "without", set()
    folder.mkdir()
    whole = json.loads((made / RECORD).read_text())
    for *above, name in fields(whole):
        content = deepcopy(whole)
        del reduce(lambda part, key: part[key], above, content)[name]
        (folder / RECORD).write_text(json.dumps(content))
        if said := refusal(folder):
            assert "\n" not in said
            assert str(name) in said
            refused.add(name)
    assert refused >= {"id", "config", "values", "rows", "data", "metric", "attack"}


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"id": NaN}', "\x00"])
def test_what_is_no_record_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / RECORD).write_text(text)
    with pytest.raises(UserError, match="expected a record of schema version"):
        read(tmp_path)
