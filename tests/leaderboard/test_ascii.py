"""JSON of any text, in ASCII: what a browser reads is what was written."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from robench.leaderboard.write.pages import compact, in_ascii


@given(st.dictionaries(st.text(), st.text()))
def test_escaping_afterwards_gives_the_json_that_escapes_at_once(value: dict[str, str]) -> None:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert in_ascii(text).replace("\x7f", "\\u007f") == compact(value)
    assert json.loads(in_ascii(text)) == value
