"""The published records: each held against its files, some judged again, attestations of those."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from robench.leaderboard.check import check
from robench.leaderboard.read.private import check_text
from robench.records.store import artefact, folders, read
from robench.records.trust import content, read_attestations
from robench.run.config import Places

BOARD = Path(__file__).parents[2] / "leaderboard"
RECORDS = BOARD / "records"
DIGITS = [
    folder
    for folder in folders(RECORDS)
    if artefact(folder)
    and (record := read(folder)).rows
    and {"digits", "none"} == {*record.config["dataset"], *record.config["defense"]}
]
"""Attacked networks that can be judged again in seconds wherever robench is installed."""


def of_kind(suffix: str) -> Path:
    return next(folder for folder in DIGITS if artefact(folder).suffix == suffix)  # type: ignore[union-attr]


def test_no_published_record_contradicts_itself(places: Places) -> None:
    results = list(check([RECORDS], places, sample=0))
    assert len({result.record for result in results}) == len(list(folders(RECORDS)))
    assert [result for result in results if result.outcome == "fail"] == []


@pytest.mark.parametrize("suffix", [".robench", ".safetensors"])
def test_a_published_record_is_verified_again(suffix: str, places: Places, tmp_path: Path) -> None:
    folder = of_kind(suffix)
    shutil.copytree(folder, tmp_path / "records" / folder.name)
    results = list(check([tmp_path / "records"], places))
    assert {"model", "examples", "audits", "searched again"} <= {
        result.check for result in results if result.outcome == "pass"
    }
    assert [result for result in results if result.outcome == "fail"] == []


def test_attestations_speak_of_published_records() -> None:
    known = {content(folder): read(folder).id for folder in folders(RECORDS)}
    attestations = read_attestations(BOARD / "verified")
    assert attestations
    for its, attestation in attestations.items():
        assert known.get(its) == attestation.record
        assert not attestation.refuted


def test_nothing_published_beside_the_records_names_a_place() -> None:
    notes = [path for path in (RECORDS / "sweeps").rglob("*") if path.is_file()]
    assert notes
    for path in notes:
        check_text(path.read_text(), path.name)
