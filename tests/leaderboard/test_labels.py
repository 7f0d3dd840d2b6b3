"""What rows are called, whatever their options hold: any text that anybody wrote into a record."""

from __future__ import annotations

from dataclasses import replace

import pytest

from robench.base.text import visible
from robench.leaderboard.table.site import make_site
from robench.leaderboard.write.index import first_points, site_files, still_files
from tests.leaderboard.shelf import few


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
