"""Pictures that stand without scripts, of texts that anybody may have written."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from robench.leaderboard.write.charts import CHARTS
from robench.leaderboard.write.stills import still

EPS = next(chart for chart in CHARTS if chart.name == "eps")


def drawn(name: str) -> str:
    """The texts of a picture of one row of this name."""
    ends = {"id": "a", "name": name, "axis": "x", "value": 0.5, "low": 0.4, "high": 0.6}
    svg = still(EPS, [{**ends, "eps": 0.0}, {**ends, "eps": 0.1}])
    return "\n".join(ElementTree.fromstring(svg).itertext())


def test_characters_beyond_the_basic_plane_are_shown() -> None:
    assert "a\U0001f600b" in drawn("a\U0001f600b")
    assert "\ue000\U0001f600" in drawn("\ue000\U0001f600")


@pytest.mark.parametrize("before", range(4))
def test_a_long_text_is_never_cut_within_a_character(before: int) -> None:
    """The engine cuts at the 190th pixel, wherever that is."""
    text = drawn("a" * before + "\U0001f600" * 60)
    assert "a" * before + "\U0001f600" * 5 in text
    assert "…" in text
    assert "\ufffd" not in text


def test_more_characters_than_stand_ins_are_drawn_all_the_same() -> None:
    taken = "".join(map(chr, range(0xE000, 0xF8FF)))
    assert "a\U0001f600\ufffd" in drawn(f"a\U0001f600\U0001f601{taken}")


@pytest.mark.parametrize("sign", ["\0", "\x1b", "\ufffe", "\uffff"])
def test_what_xml_does_not_have_does_not_end_the_process(sign: str) -> None:
    assert "a\ufffdb" in drawn(f"a{sign}b")
