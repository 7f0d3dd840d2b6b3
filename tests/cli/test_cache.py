"""`robench cache`: list and prune."""

from __future__ import annotations

import pytest

from tests.cli.command import FAST, command


def test_list_and_prune(capsys: pytest.CaptureFixture[str]) -> None:
    command(["run", "attack=fgsm", *FAST], capsys)
    status, out, _ = command(["cache", "list"], capsys)
    assert status == 0
    assert "train" in out
    assert command(["cache", "prune", "--days", "1"], capsys)[1] == "freed 0.0 MiB\n"
    assert command(["cache", "prune"], capsys)[0] == 0
    assert "train" not in command(["cache", "list"], capsys)[1]
