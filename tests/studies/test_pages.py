"""A study's page says what its report says, from the same records, and escapes it."""

from __future__ import annotations

import html
import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from robench.base.text import true_minus
from robench.cli.main import main
from robench.leaderboard.build import build
from robench.leaderboard.read.challenged import Break
from robench.leaderboard.table.row import BoardRow
from robench.leaderboard.write.sections import inline, sections
from robench.leaderboard.write.studies import study_page
from robench.studies import Claim, Measure, Runs, Study, Variant
from robench.studies.report import about, report
from robench.studies.run import Records
from tests.leaderboard.shelf import shelf_row
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
    made = {"tables": {"T": [PGD]}, "cells": [], "claims": [], "settings": {"k": "v"}}
    return Study(**about | made | given)


def row(folder: Path, name: str = "0123456789abcdef", share: float = 0.5, **its: Any) -> BoardRow:
    """A row that the record of a folder feeds."""
    return replace(shelf_row(name, share, **its), folders=(folder,))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    put(tmp_path, "0123456789abcdef", PLAIN, {("pgd", "white_box", 0.1): 0.5})
    return tmp_path / "0123456789abcdef"


def words(text: str) -> list[str]:
    """What is read, whatever marks stand in it."""
    return re.findall(r"[\w.]+", re.sub(r"[`*|#]", " ", text))


def test_a_page_has_all_that_the_report_has(folder: Path) -> None:
    one = study(sections=(cost, nothing))
    page = study_page(one, [row(folder)], [])
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


def test_a_page_gives_the_reasons_beside_its_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installed robench has none of its own, and builds the page that a checkout does."""
    published, mine = (
        Path("leaderboard/records/f070e14d507e437e"),
        tmp_path / "collection" / "records",
    )
    shutil.copytree(published, mine / published.name)
    reasons = tmp_path / "collection" / "studies" / "reasons"
    reasons.mkdir(parents=True)
    (reasons / "s.yaml").write_text("C: {words: because of the weather}")
    claim = SimpleNamespace(name="C", words="w", judge=lambda runs: ("not comparable", []))
    system = {"defense": ("adversarial_training",), "compressor": ("pt2e_int8",)}
    one = study(variants=[Variant("one", system, {})], claims=[claim])
    pages = []
    for own in (reasons, tmp_path / "none"):
        told = {"s": replace(one, reasons=own)}
        monkeypatch.setattr("robench.leaderboard.build.studies", lambda told=told: told)
        build([mine], tmp_path / own.name)
        pages.append((tmp_path / own.name / "studies" / "s.html").read_bytes())
    assert pages[0] == pages[1]
    assert b"because of the weather" in pages[0]


def test_a_page_says_of_each_record_what_it_proves(folder: Path) -> None:
    text = study_page(study(), [row(folder, "ffffffff", level="verified")], [])
    assert text is not None
    assert '<a href="../row.html#ffffffff">plain</a>' in text
    assert 'class="verdict level verified" title="its deployed model was judged' in text
    assert ">disputed<" not in text
    disputed = study_page(study(), [row(folder, disputed=True)], [])
    assert disputed is not None
    assert 'class="verdict level consistent"' in disputed
    assert '<small class="note">disputed</small>' in disputed


def test_what_a_challenger_is_called_is_escaped(folder: Path) -> None:
    one = row(folder)
    taken = Break("<b>me</b>", "2026-01-01", "linf", 0.1, 2.5, counts=True)
    text = study_page(study(), [replace(one, proof=replace(one.proof, breaks=(taken,)))], [])
    assert text is not None
    assert "broken by &lt;b&gt;me&lt;/b&gt;" in text


def test_a_later_record_takes_no_verified_ones_place(tmp_path: Path) -> None:
    """A copy with other numbers, a later clock and the verified record's own name."""
    shown = []
    for at, level in (("mine", "verified"), ("theirs", "consistent")):
        (tmp_path / at).mkdir()
        right, finished = (0.5, 1.0) if at == "mine" else (0.1, 9e9)
        put(tmp_path / at, "01234567", PLAIN, {("pgd", "white_box", 0.1): right}, finished=finished)
        shown.append(row(tmp_path / at / "01234567", f"{at:_>8}", right, level=level))
    pages = {study_page(study(), its, shown) for its in (shown, shown[::-1])}
    (text,) = pages
    assert text is not None
    assert '<span class="value">50.0</span>' in text
    assert '<span class="value">10.0</span>' not in text
    assert "Other records that match and do not count: 1." in text


def test_what_fails_in_a_study_is_said_and_ends_no_page(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its code is its own, and reads records that anybody may send."""

    def broken(*_: object) -> Any:
        raise KeyError("zz")

    made = study(sections=(broken, cost), claims=[Claim("C", "w", [broken])])
    text = study_page(made, [row(folder)], [])
    assert text is not None
    assert "expected a section that can be told, got KeyError" in text
    assert "cannot be told: expected a check that can be made, got KeyError" in text
    assert '<span class="value">50.0</span>' in text
    assert "Seconds" in text
    assert "not comparable" in report(made, Runs(Records(folder.parent), made.variants))
    monkeypatch.setattr(Variant, "matches", broken)
    text = study_page(made, [row(folder)], [])
    assert text is not None
    assert "expected a study that can be told, got KeyError" in text


def test_a_reported_record_takes_no_other_of_its_row_away(folder: Path) -> None:
    put(folder.parent, "ffff", PLAIN, {("pgd", "white_box", 0.1): 0.1})
    one = row(folder, level="reported")
    both = replace(
        one,
        folders=(folder, folder.parent / "ffff"),
        contents=("a", "b"),
        proof=replace(one.proof, levels=("consistent", "reported")),
    )
    text = study_page(study(), [both], [])
    assert text is not None
    assert '<span class="value">50.0</span>' in text
    assert 'class="verdict level consistent"' in text
    assert "Records that match and are only reported: 1." in text


def test_a_page_of_reported_records_alone_rests_nothing_on_them(folder: Path) -> None:
    text = study_page(study(), [row(folder, level="reported")], [])
    assert text is not None
    assert "Records that match and are only reported: 1." in text
    assert text.count("not run") == 2
    assert 'class="verdict level' not in text
