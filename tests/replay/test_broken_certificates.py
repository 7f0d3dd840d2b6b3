"""A certifier that claims too much, from the run to the verification of its record."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from robench.base.errors import UserError
from robench.plugin import registry as plugins
from robench.records.consistent import inspect
from robench.records.store import EXAMPLES, read
from robench.records.tables import read_columns
from robench.replay.verify import verify
from robench.run.config import Places
from tests.replay.conftest import evaluated, made_places

Copy = Callable[[Path], Path]


@pytest.fixture(scope="module")
def broken_record(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a record whose certifier, an installed plugin's, estimates without a bound."""
    root = tmp_path_factory.mktemp("unsound")
    about = root / "unsound-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: unsound\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[robench]\nunsound = tests.testing.unsound\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root))
        plugins.registry.cache_clear()
        places = made_places(root)
        record = evaluated(
            places,
            attack=[],
            images=40,
            compressor="qat_int8",
            defense="intrs",
            metric="certified",
            certifier="plug_in",
        )
        yield places.results / record.id
    plugins.registry.cache_clear()


def test_broken_certificates_stand_in_the_record(broken_record: Path) -> None:
    audit, table = (
        read(broken_record).certificates,
        read_columns(broken_record / "certificates.parquet"),
    )
    assert audit is not None
    assert audit.refuted
    assert (audit.certifier, audit.attacked) == ("plug_in", min(50, audit.certificates))
    radii = dict(zip(table["image"].tolist(), table["radius2"].tolist(), strict=True))
    for one in audit.broken:
        assert 0 < one.radius2 == radii[one.image]
        assert one.length2 <= one.radius2
        assert one.found != one.label
        assert one.votes > one.draws / 2
    assert f"{len(audit.broken)} broke (images {audit.broken[0].image}, " in audit.sentence
    assert "no certificate of this certifier stands" in audit.sentence
    assert table["draws"].tolist() == [0] * len(table["draws"])
    (unfounded,) = inspect(broken_record).unfounded
    assert "no rule known for this certifier" in unfounded


@pytest.mark.slow
def test_a_verification_breaks_them_again(broken_record: Path, places: Places) -> None:
    (step,) = [s for s in verify(broken_record, places, seed=3).steps if s.name == "certificates"]
    assert step.outcome == "pass", step.text
    assert "no certificate of this certifier stands" in step.text


@pytest.mark.slow
def test_who_hides_them_is_refuted(broken_record: Path, copied: Copy, places: Places) -> None:
    folder = copied(broken_record)
    (folder / EXAMPLES).unlink()  # which holds nothing but what breaks them
    edit(folder, lambda record: record.update(certificates=None, files=_without(record["files"])))
    (step,) = [s for s in verify(folder, places, seed=3).steps if s.name == "certificates"]
    assert step.outcome == "fail"
    assert "certificates that the record does not call broken do break" in step.text


def _without(files: dict[str, str]) -> dict[str, str]:
    return {name: digest for name, digest in files.items() if name != EXAMPLES}


def _fewer(audit: dict[str, Any]) -> None:
    audit["broken"] = audit["broken"][:1]


def _beyond(audit: dict[str, Any]) -> None:
    audit["broken"][0]["length2"] = audit["broken"][0]["radius2"] + 1


def _allowed(audit: dict[str, Any]) -> None:
    audit["allowed"] = 100


@pytest.mark.parametrize("forge", [_fewer, _beyond, _allowed])
def test_what_contradicts_the_table_is_refused(
    broken_record: Path, copied: Copy, forge: Callable[[dict[str, Any]], None]
) -> None:
    folder = copied(broken_record)
    edit(folder, lambda record: forge(record["certificates"]))
    with pytest.raises(UserError, match="certificate"):
        inspect(folder)


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "record.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))
