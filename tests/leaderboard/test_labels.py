"""What rows are called, whatever their options hold: any text that anybody wrote into a record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from robench.base.text import visible
from robench.leaderboard.table.site import make_site
from robench.leaderboard.write.index import first_points, site_files, still_files
from robench.records.trust import Level
from tests.leaderboard.shelf import few

CONSISTENT: Sequence[Level] = ("consistent", "consistent")
LONG = {"x": "W" * 60, "y": "W" * 60, "z": "W" * 60}


@pytest.mark.parametrize("sign", ["b", "\U0001f600", "\ufffe", "\u0301", "\0", "\u202e"])
def test_no_option_fills_a_page(sign: str) -> None:
    text = f"a{sign * 900}"
    options = [{"x": its, "y": its, "z": its, text: its} for its in (text, "sgd")]
    rows = [
        replace(row, chosen={**row.chosen, "defense": {"mulaw": its}}, train=its)
        for row, its in zip(few(), options, strict=False)
    ]
    site = make_site(rows, ())
    label = site.labels[rows[0].id]
    assert label.name.startswith("mulaw(x=a")
    assert label.details.startswith("x a")
    assert max(len(label.name), len(label.details)) <= 160
    assert label.text == visible(label.text)
    points = first_points(site)
    assert points["eps"]
    for name, page in (*site_files(site, 1, [], set(points)), *still_files(points)):
        assert text[:70] not in page, name


def named(*options: dict[str, Any], levels: Sequence[Level] = CONSISTENT) -> list[str]:
    """Names of rows with these options of one defense, the first compressed by qat."""
    plain = few()[0]
    rows = [
        replace(
            plain,
            id=f"{number:016x}",
            recipe=str(number),
            chosen={
                **plain.chosen,
                "defense": {"tiles": its, "mulaw": {}},
                "compressor": {"none" if number else "qat": {}},
            },
            proof=replace(plain.proof, level=level),
        )
        for number, (its, level) in enumerate(zip(options, levels, strict=False))
    ]
    labels = make_site(rows, ()).labels
    return [labels[row.id].name for row in rows]


def test_a_row_that_proves_less_makes_no_other_name_long() -> None:
    plain = {"x": 1, "y": 2, "z": 3}
    levels: list[Level] = ["verified", "consistent", "reported"]
    names = named(plain, {**plain, "x": 2}, {**plain, "y": 3}, levels=levels)
    assert names[:2] == ["tiles(x=1, y=2) + mulaw · qat", "tiles(x=2, y=2) + mulaw"]
    wide = {f"option{number}": number for number in range(9)}
    names = named(wide, {**wide, "option0": 2}, dict.fromkeys(wide, "W"), levels=levels)
    assert names[:2] == ["tiles + mulaw · qat", "tiles(option0=2) + mulaw"]


def test_options_eat_no_other_choice_and_no_compressor() -> None:
    names = named(LONG, {"x": 1, "y": 1, "z": 1})
    assert names[0].startswith("tiles(x=WWW")
    assert names[0].endswith("... + mulaw · qat")
    assert len(names[0]) == 160


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("\N{BLACK DIAMOND} verified \N{BLACK CIRCLE}", "\\u25c6 verified \\u25cf"),
        ("\N{WHITE MEDIUM SMALL SQUARE}", "\\u25fd"),
        ("X" + "\u0300" * 4, "X\u0300\u0300\\u0300\\u0300"),
        ("a\u3164b\u115fc\u00ad", "a\\u3164b\\u115fc\\u00ad"),
        ("\N{FULLWIDTH LATIN SMALL LETTER V}\U0001d41e\N{LATIN SMALL LIGATURE FI}", "vefi"),
        ("10² ≤ ε", "10² ≤ ε"),
        ("caf\u00e9 \u30d0 \u0915\u094d\u0937", "caf\u00e9 \u30d0 \u0915\u094d\u0937"),
    ],
)
def test_no_option_looks_like_a_mark_of_the_page(text: str, told: str) -> None:
    assert named({"x": text}, {"x": 1})[0] == f"tiles(x={told}) + mulaw · qat"
