"""The made-up records of the benchmark: taken in as published ones are, and what none may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.made_records import TEMPLATES, copy_records, make_records
from robench.base.errors import UserError
from robench.collection.results import load
from robench.leaderboard.build import build
from robench.leaderboard.read.intake import take
from tests.cli.command import command


def test_made_records_and_their_copies_are_taken(tmp_path: Path) -> None:
    """The benchmark would else measure how soon records are refused."""
    make_records(tmp_path / "made", len(TEMPLATES))
    copy_records(tmp_path / "made", tmp_path / "copies", 1_000)
    taken = [take(folder) for folder in sorted(tmp_path.glob("*/*"))]
    assert len({one.record.id for one in taken}) == 2 * len(TEMPLATES)


def test_numbers_too_large_for_the_store_cost_the_record_that_says_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No record that somebody sends may keep the others from their page."""
    make_records(tmp_path / "made", 1)
    copy_records(tmp_path / "made", tmp_path / "large", 2**63)
    site = build([tmp_path], tmp_path / "page")
    assert len(site.rows) == 1
    (refused,) = site.refused
    assert refused.reason == f"expected seed of at most {2**63 - 1}, got {2**63}"
    with pytest.warns(UserWarning, match="left out .*: expected seed of at most"):
        assert set(load(tmp_path).record) == {site.rows[0].id}
    large = tmp_path / "large"
    with (
        pytest.warns(UserWarning, match="left out"),
        pytest.raises(UserError, match="expected seed of at most"),
    ):
        load(large)
    status, out, _ = command(["study", "intrs_table2", "--records", str(large)], capsys)
    assert (status, out.startswith("left out ")) == (0, True)
    assert "expected seed of at most" in out
