"""A record under a named protocol keeps all evidence that such a run gives, or is only reported."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from robench.core.record import Record
from robench.records.consistent import inspect
from robench.records.support.complete import _wanted
from robench.records.support.held import AUDIT_TABLE, read_tables
from tests.published import copy_of

PUBLISHED = Path(__file__).parents[2] / "leaderboard" / "records"
LINF, CERTIFIED = "e248eb66ccefb78f", "c2857396000a4316"
"""Published under digits_linf and digits_certified_l2."""
BROKEN = "dbe39ca115b49c81"
"""Under digits_l2: a quick audit did not ask of the larger ball what could not matter any more."""
Change = Callable[[dict[str, Any]], None]


def few_findings(record: dict[str, Any]) -> None:
    for audit in record["audit"]:
        audit["findings"] = [f for f in audit["findings"] if f["check"] in ("noise", "above_clean")]


def no_attack_on_certificates(record: dict[str, Any]) -> None:
    record["certificates"] = None


def no_digests(record: dict[str, Any]) -> None:
    record["files"] = {}


def test_a_quick_audit_asks_no_more_of_what_failed() -> None:
    folder = PUBLISHED / LINF
    record = Record.model_validate_json((folder / "record.json").read_text(encoding="utf-8"))
    audit, table = record.audit[0], read_tables(folder / f"{AUDIT_TABLE}.parquet", record)[0]
    first, *rest = audit.findings
    failed = audit.model_copy(
        update={"findings": (first.model_copy(update={"verdict": "fail"}), *rest)}
    )
    assert set(_wanted(audit, table)) - set(_wanted(failed, table)) == {
        "bent_gradients",
        "fractured_gradients",
    }


@pytest.mark.parametrize("name", [LINF, CERTIFIED, BROKEN])
def test_a_published_one_is_whole(name: str) -> None:
    assert list(inspect(PUBLISHED / name).unfounded) == []


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        (LINF, few_findings, "no finding random_prediction"),
        (LINF, no_digests, "files: no digests"),
        (CERTIFIED, no_attack_on_certificates, "certificates: they were not attacked"),
    ],
)
def test_what_is_taken_away_is_named(name: str, change: Change, words: str, tmp_path: Path) -> None:
    folder = copy_of(PUBLISHED / name, tmp_path / name)
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    change(record)
    (folder / "record.json").write_text(json.dumps(record), encoding="utf-8")
    assert any(words in why for why in inspect(folder).unfounded)
