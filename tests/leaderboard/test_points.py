"""The points of the page's pictures."""

from __future__ import annotations

from dataclasses import replace

from robench.core.record import FileInfo
from robench.leaderboard.write.points import points
from tests.leaderboard.shelf import shelf_row

FILE = FileInfo(format="onnx", sha256="0" * 64, bytes=1, runtime="onnxruntime", version="1")


def test_a_judged_file_is_in_no_mean_of_a_defense() -> None:
    made = shelf_row("made", 0.5)
    file = replace(shelf_row("file", 0.9), file=FILE)
    drawn = points([(made, "made"), (file, "file")], "bits")
    assert {(one["id"], one["kind"]) for one in drawn} == {("made", "clean"), ("made", "robust")}
    assert [one["id"] for one in points([(file, "file")], "size")] == ["file"]
