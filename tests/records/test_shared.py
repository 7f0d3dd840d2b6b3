"""Models that records keep alike, kept once: found by their digest, and never lost."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from robench.base.errors import UserError
from robench.base.hashing import file_hash
from robench.cli.main import main
from robench.records import trust
from robench.records.consistent import inspect
from robench.records.shared import SHARED, place, share
from robench.records.store import WEIGHTS, artefact, read

MODEL = b"a model" * 100
DIGEST = hashlib.sha256(MODEL).hexdigest()
PUBLISHED = Path(__file__).parents[2] / "leaderboard" / "records"


def held(root: Path, names: str = "ab") -> dict[Path, dict[str, str]]:
    """Folders of one model each, and what their records name."""
    for name in names:
        (root / name).mkdir()
        (root / name / WEIGHTS).write_bytes(MODEL)
    return {root / name: {WEIGHTS: DIGEST} for name in names}


def test_what_is_alike_is_kept_once(tmp_path: Path) -> None:
    folders = held(tmp_path)
    assert share(folders) == len(MODEL)
    assert not list(tmp_path.glob(f"?/{WEIGHTS}"))
    shared = tmp_path / SHARED / f"{DIGEST}.safetensors"
    assert shared.read_bytes() == MODEL
    assert place(tmp_path / "a", WEIGHTS, DIGEST) == shared
    more = held(tmp_path, "c")
    assert share(folders | more) == len(MODEL), "one that came later"
    assert share(folders) == 0


def test_what_is_alone_or_not_as_named_stays(tmp_path: Path) -> None:
    assert share(held(tmp_path, "a")) == 0
    lies = {folder: {WEIGHTS: "0" * 64} for folder in held(tmp_path, "bc")}
    assert share(lies) == 0
    assert share({tmp_path / "b": {"../x": DIGEST, "model.safetensors": "../../x"}}) == 0
    assert len(list(tmp_path.glob(f"?/{WEIGHTS}"))) == 3


def test_a_damaged_shared_file_takes_nothing_with_it(tmp_path: Path) -> None:
    folders = held(tmp_path)
    (tmp_path / SHARED).mkdir()
    (tmp_path / SHARED / f"{DIGEST}.safetensors").write_bytes(b"cut")
    assert share(folders) == 0
    assert len(list(tmp_path.glob(f"?/{WEIGHTS}"))) == 2


@pytest.mark.parametrize("name", ["../x.safetensors", "x.safetensors", "network./../x"])
def test_only_models_are_looked_for_elsewhere(name: str, tmp_path: Path) -> None:
    (tmp_path / SHARED).mkdir()
    (tmp_path / SHARED / f"{DIGEST}.safetensors").write_bytes(MODEL)
    assert place(tmp_path / "a", name, DIGEST) == tmp_path / "a" / name
    assert place(tmp_path / "a", WEIGHTS, "../x") == tmp_path / "a" / WEIGHTS


def test_a_record_stays_the_same_when_its_model_is_shared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its digest, so that what was verified stays so, and whether it is consistent."""
    one = next(p for p in sorted(PUBLISHED.glob("*")) if WEIGHTS in _files(p))
    for name in "ab":
        shutil.copytree(one, tmp_path / name)
        digest = read(one).files[WEIGHTS]
        shutil.copyfile(place(one, WEIGHTS, digest), tmp_path / name / WEIGHTS)
    before = trust.content(tmp_path / "a")
    assert main(["share", str(tmp_path)]) == 0
    assert "2 records" in capsys.readouterr().out
    kept = artefact(tmp_path / "a")
    assert kept is not None
    assert kept.parent == tmp_path / SHARED
    assert file_hash(kept) == digest
    assert trust.content(tmp_path / "a") == before
    assert inspect(tmp_path / "a").unfounded == inspect(one).unfounded
    kept.write_bytes(b"another")
    assert trust.content(tmp_path / "a") != before
    with pytest.raises(UserError, match=f"expected {WEIGHTS} as the record names it"):
        inspect(tmp_path / "a")
    assert main(["show", "--json", str(tmp_path / "a")]) == 2
    assert f"contradicts itself: expected {WEIGHTS} as" in capsys.readouterr().err
    kept.unlink()
    assert main(["show", "--json", str(tmp_path / "a")]) == 0
    said = capsys.readouterr().err
    assert said.startswith(f"robench: {WEIGHTS}, which the record names: neither in")
    assert said.count("\n") == 1
    assert artefact(tmp_path / "a") is None
    with pytest.raises(UserError, match=f"expected the file {WEIGHTS}, .* got none"):
        inspect(tmp_path / "a")


def _files(folder: Path) -> dict[str, str]:
    return read(folder).files if (folder / "record.json").is_file() else {}


def test_a_folder_that_is_not_there_is_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["share", str(tmp_path / "x")]) == 2
    assert "expected a folder of records" in capsys.readouterr().err


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    """Neither through a name that might be guessed, nor through the folder itself."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "one").mkdir()
    folders = held(tmp_path / "one")
    shared = tmp_path / "one" / SHARED
    shared.mkdir()
    (shared / f"{DIGEST}.partial").symlink_to(victim)
    assert share(folders) == len(MODEL)
    assert victim.read_text() == "precious"
    (tmp_path / "two").mkdir()
    (tmp_path / "outside").mkdir()
    folders = held(tmp_path / "two")
    (tmp_path / "two" / SHARED).symlink_to(tmp_path / "outside")
    with pytest.raises(UserError, match="got a link"):
        share(folders)
    assert not list((tmp_path / "outside").iterdir())
    assert all((folder / WEIGHTS).is_file() for folder in folders)


def test_a_model_without_end_is_not_read(tmp_path: Path) -> None:
    folder = next(one for one in PUBLISHED.iterdir() if (one / WEIGHTS).is_file())
    copy = tmp_path / folder.name
    shutil.copytree(folder, copy)
    with (copy / WEIGHTS).open("r+b") as file:
        file.truncate(20 * 2**30)
    with pytest.raises(UserError, match=f"expected at most .* bytes in {WEIGHTS}"):
        inspect(copy)
