"""`robench verify`: saved examples, judged again."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from robench.records.store import OUTCOMES
from tests.cli.command import FAST, command, records


def test_what_stands_and_what_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command(["run", "attack=fgsm", "audit=off", *FAST], capsys)
    (path,) = records(tmp_path)
    status, out, _ = command(["verify", str(path.parent)], capsys)
    assert status == 0
    assert "same labels" in out

    outcomes = pd.read_parquet(path.parent / OUTCOMES)
    outcomes.loc[outcomes.attack == "fgsm", "prediction"] = 99
    outcomes.to_parquet(path.parent / OUTCOMES)
    status, out, _ = command(["verify", str(path.parent)], capsys)
    assert status == 1
    assert "labels differ" in out
