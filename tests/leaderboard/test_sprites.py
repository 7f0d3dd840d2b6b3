"""A row's pictures: those of its records, whatever another record laid beside itself."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from robench.leaderboard.read.claims import Claim
from robench.leaderboard.write import sprites
from robench.leaderboard.write.sprites import drawn
from robench.records.preview import PREVIEW, sheet
from tests.leaderboard.made import claim
from tests.leaderboard.test_twins import first


def pictured(folder: Path, attacks: tuple[str, ...], height: int, shade: int) -> Claim:
    """A record whose picture has strips of this height, each of one shade."""
    folder.mkdir()
    strips = [np.full((2 * height, 5, 4), shade, np.uint8) for _ in attacks]
    (folder / PREVIEW).write_bytes(sheet(strips))
    answers: dict[Any, Any] = {"clean": first(36), **dict.fromkeys(attacks, first(20))}
    return claim(answers, folder=folder)


def pixels(picture: bytes | None) -> Any:
    assert picture is not None
    with Image.open(BytesIO(picture)) as opened:
        return np.array(opened.convert("RGBA"))


def test_strips_of_another_height_are_left_out_and_stop_nobody(tmp_path: Path) -> None:
    honest = pictured(tmp_path / "a", ("pgd", "fgsm"), 4, 255)
    others = [pictured(tmp_path / f"{n}", ("cw",), n, 99) for n in (3, 5)]
    shown, picture = drawn([honest, *others])
    assert [one.title.split(",")[0] for one in shown] == ["pgd", "fgsm"]
    assert pixels(picture).shape[0] == 2 * 2 * 4


def test_one_attack_is_drawn_once_and_not_where_two_records_differ(tmp_path: Path) -> None:
    one = pictured(tmp_path / "a", ("pgd", "cw"), 4, 255)
    two = pictured(tmp_path / "b", ("pgd", "fgsm"), 4, 255)
    shown, picture = drawn([one, two])
    assert [strip.title.split(",")[0] for strip in shown] == ["pgd", "cw", "fgsm"]
    forged = pictured(tmp_path / "c", ("pgd",), 4, 99)
    for claims in ([one, forged, two], [forged, one, two]):
        shown, picture = drawn(claims)
        assert {strip.title.split(",")[0] for strip in shown} == {"cw", "fgsm"}
        assert set(pixels(picture).ravel()) == {255}


def test_no_more_is_drawn_than_a_browser_can_take(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(sprites, "MAX_PIXELS", 3 * 8 * 5)
    claims = [pictured(tmp_path / name, (name,), 4, 255) for name in ("a", "b", "c", "d")]
    shown, picture = drawn(claims)
    assert len(shown) == 3
    assert pixels(picture).shape[0] == 3 * 8


def test_a_row_without_a_picture_has_none(tmp_path: Path) -> None:
    assert drawn([claim({"clean": first(1)}, folder=tmp_path)]) == ([], None)
