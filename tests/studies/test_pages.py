"""A study's page says what its report says, from the same records, and escapes it."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from robench.base.text import true_minus
from robench.cli.main import main
from robench.leaderboard.write.sections import inline, sections
from robench.leaderboard.write.studies import study_page
from robench.studies import Measure, Runs, Study, Variant
from robench.studies.report import about, report
from robench.studies.run import Records
from tests.studies.study_toys import put

PLAIN = Variant("plain", {"defense": ("none",)}, {})
OTHER = Variant("other", {"defense": ("mulaw",)}, {})
PGD = Measure("PGD", attack="pgd")
COST = """## Seconds <b>

A prediction by `--bench N`, *same* or **not**.

| model | seconds | what |
|---|---|---|
| plain | -1.5 | <script>x</script> |
| other | not run | a * b * c |

- one
- two"""


def cost(runs: Runs) -> str:
    """A section in Markdown."""
    return COST if list(runs) else ""


def nothing(runs: Runs) -> str:
    """A section with nothing to say."""
    del runs
    return ""


def study(**given: Any) -> Study:
    about = {"name": "s", "title": "A study", "source": "a paper", "variants": [PLAIN, OTHER]}
    made = {"tables": {"T": [PGD]}, "cells": [], "claims": [], "settings": {"k": "v"}, **given}
    return Study(**about, **made)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    put(tmp_path, "0123456789abcdef", PLAIN, {("pgd", "white_box", 0.1): 0.5})
    return tmp_path / "0123456789abcdef"


def words(text: str) -> list[str]:
    """What is read, whatever marks stand in it."""
    return re.findall(r"[\w.]+", re.sub(r"[`*|#]", " ", text))


def test_a_page_has_all_that_the_report_has(folder: Path) -> None:
    one = study(sections=(cost, nothing))
    page = study_page(one, [SimpleNamespace(folders=[folder])], [])  # type: ignore[list-item]
    assert page is not None
    seen = set(words(html.unescape(re.sub(r"</?(?!b> *</h2|script>x)[^>]+>", " ", page))))
    runs = Runs(Records(folder.parent), one.variants, one.measures)
    assert "## Seconds" in report(one, runs)
    for line in (*about(one, runs), *COST.splitlines()):
        assert set(words(line.replace("|---", ""))) <= seen, line
    assert "1 of 2 systems, 200 test images of mnist" in page
    assert "Not run: other." in page


def test_what_a_section_says_is_escaped_and_marked() -> None:
    (found,) = sections(COST)
    assert found.title == "Seconds <b>"
    text, table, items = found.blocks
    assert text.lines == ["A prediction by <code>--bench N</code>, <i>same</i> or <b>not</b>."]
    assert table.rows[1][1:] == [
        true_minus("-1.5"),
        "&lt;script&gt;x&lt;/script&gt;",
    ]
    assert table.rows[2] == ["other", "not run", "a * b * c"]
    assert table.numbers == [False, True, False]
    assert items.lines == ["one", "two"]
    assert inline("<i>`<b>`\x1b") == "&lt;i&gt;<code>&lt;b&gt;</code>\\u001b"


def test_reasons_are_found_beside_the_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    records, reasons = tmp_path / "records", tmp_path / "studies" / "reasons"
    records.mkdir()
    put(records, "0123456789abcdef", PLAIN, {("pgd", "white_box", 0.1): 0.5})
    claim = SimpleNamespace(name="C", words="w", judge=lambda runs: ("not comparable", []))
    one = study(reasons=tmp_path / "none", claims=[claim])
    assert not one.has_reasons
    monkeypatch.setattr("robench.studies.catalogue.find", lambda _: one)
    assert one.beside(records) is one
    assert main(["study", "s", "--records", str(records)]) == 0
    assert "Reasons are not installed here" in capsys.readouterr().out
    reasons.mkdir(parents=True)
    assert one.beside(records) == replace(one, reasons=reasons)
    assert main(["study", "s", "--records", str(records)]) == 0
    assert "Reasons are not installed" not in capsys.readouterr().out
