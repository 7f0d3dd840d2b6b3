"""The made-up records of the benchmark are taken in as published ones are."""

from __future__ import annotations

from pathlib import Path

from benchmarks.made_records import TEMPLATES, copy_records, make_records
from robench.leaderboard.read.intake import take


def test_made_records_and_their_copies_are_taken(tmp_path: Path) -> None:
    """The benchmark would else measure how soon records are refused."""
    make_records(tmp_path / "made", len(TEMPLATES))
    copy_records(tmp_path / "made", tmp_path / "copies", 1_000)
    taken = [take(folder) for folder in sorted(tmp_path.glob("*/*"))]
    assert len({one.record.id for one in taken}) == 2 * len(TEMPLATES)
