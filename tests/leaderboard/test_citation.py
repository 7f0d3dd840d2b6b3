"""A row's BibTeX, in which nothing of a record means anything to LaTeX, and its methods' homes."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from robench.base.errors import PluginError
from robench.leaderboard.write.citation import bibtex, latex, sources
from robench.leaderboard.write.said import believe
from robench.plugin.declared import check_declared
from tests.leaderboard.shelf import shelf_row


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("qat_int8", r"qat\_int8"),
        ("100 % of #1 & $2", r"100 \% of \#1 \& \$2"),
        ("}, evil = {x", r"\}, evil = \{x"),
        (r"\input{a}", r"\textbackslash{}input\{a\}"),
        ("a~b^c", r"a\textasciitilde{}b\textasciicircum{}c"),
    ],
)
def test_a_text_means_nothing_to_latex(text: str, wanted: str) -> None:
    assert latex(text) == wanted


def test_an_entry_names_the_records_by_their_digests() -> None:
    row = replace(
        shelf_row("0000000a", 0.5, defense="m{u_law", compressor="ptq"), contents=("ab" * 32,)
    )
    record: Any = SimpleNamespace(provenance=SimpleNamespace(robench="0.1.0"))
    text = bibtex(row, record)
    assert text.startswith(
        "@misc{robench-0000000a,\n  title = {x, m\\{u\\_law, ptq on x: a robench"
    )
    assert "SHA-256 of its files abababababababab;" in text
    assert r"judged under shelf\_linf@1" in text
    assert len(text.splitlines()) == 6


def test_only_installed_components_have_a_home() -> None:
    asked = {"attack": {"pgd": {}, "no_such": {}}, "defense": {"intrs": {}}, "data": 7}
    assert sources(asked) == [
        ("intrs", "paper", "https://arxiv.org/abs/2108.09413"),
        ("pgd", "paper", "https://arxiv.org/abs/1706.06083"),
    ]


@pytest.mark.parametrize(
    "wrong",
    [{"paper": "javascript:alert(1)"}, {"blog": "https://a.org"}, "https://a.org", {"code": 7}],
)
def test_a_home_is_an_https_address(wrong: object) -> None:
    one = type("One", (), {"version": "1", "sources": wrong})
    with pytest.raises(PluginError, match="expected sources to be https addresses"):
        check_declared(one, "defense")


@pytest.mark.parametrize(
    ("word", "begins"),
    [("holds", "Believe the number:"), ("broken", "Believe that nothing holds:")],
)
def test_what_to_believe_is_one_sentence_with_its_reason(word: str, begins: str) -> None:
    told = believe(shelf_row("0000000a", 0.5, word=word, level="verified"))
    assert told.startswith(begins)
    assert told.endswith("judged and searched again, with the same outcome.")
    assert told.count(".") == 1
