"""The published records: each held against its files, some judged again, attestations of those."""

from __future__ import annotations

from pathlib import Path

import pytest

from robench.leaderboard.check import check
from robench.leaderboard.read.private import check_text
from robench.records.store import artefact, folders, read
from robench.records.trust import content, read_attestations
from robench.run.config import Places
from robench.training.loop import Trainer
from tests.published import copy_of

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


def quickest(suffix: str) -> Path:
    """The record with such a model whose audits met fewest images, and whose search took least."""

    def cost(folder: Path) -> tuple[int, float]:
        record = read(folder)
        return record.data.images * len(record.audit), sum(row.seconds for row in record.rows)

    found = [folder for folder in DIGITS if artefact(folder).suffix == suffix]  # type: ignore[union-attr]
    return min(found, key=cost)


def test_no_published_record_contradicts_itself(places: Places) -> None:
    results = list(check([RECORDS], places, sample=0))
    assert len({result.record for result in results}) == len(list(folders(RECORDS)))
    assert [result for result in results if result.outcome == "fail"] == []


@pytest.mark.parametrize("suffix", [".robench", ".safetensors"])
def test_a_published_record_is_verified_again_without_training(
    suffix: str, places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trainer, "fit", None)
    folder = quickest(suffix)
    copy_of(folder, tmp_path / "records" / folder.name)
    results = list(check([tmp_path / "records"], places))
    assert {"model", "rows", "examples", "audits", "crafted again", "searched again"} <= {
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
