"""`robench compare`: two records on the same images."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import command, records


def test_two_records_paired(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in ("0", "1"):
        whole = ["train.epochs=1", "threads=1"]  # a subset of the images would depend on the seed
        assert command(["run", "attack=fgsm", f"seed={seed}", *whole], capsys)[0] == 0
    first, second = (str(path.parent) for path in records(tmp_path))
    status, out, _ = command(["compare", first, second], capsys)
    assert status == 0
    assert "McNemar" in out
    assert out.count("fgsm") >= 1
    status, out, _ = command(["compare", first, first], capsys)
    assert status == 0
    assert "+0.0" in out
