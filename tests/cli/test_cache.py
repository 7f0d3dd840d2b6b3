"""`robench cache`: list and prune."""

from __future__ import annotations

import json

import pytest

from robench.run.cache import Cache
from tests.cli.command import FAST, command


def test_list_and_prune(capsys: pytest.CaptureFixture[str]) -> None:
    command(["run", "attack=fgsm", *FAST], capsys)
    status, out, _ = command(["cache", "list"], capsys)
    assert status == 0
    assert "train" in out
    assert "small_cnn plain" in out, "what it is of"
    entries = json.loads(command(["cache", "list", "--json"], capsys)[1])
    assert {"train", "attack"} <= {entry["step"] for entry in entries}
    assert command(["cache", "prune", "--days", "1"], capsys)[1] == "freed 0.0 MiB\n"
    assert command(["cache", "prune"], capsys)[0] == 0
    assert "train" not in command(["cache", "list"], capsys)[1]


@pytest.mark.parametrize("days", ["-1", "nan", "inf", "-inf"])
def test_a_span_that_is_none_deletes_nothing(
    days: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cache, "prune", lambda *_: pytest.fail("pruned"))
    status, out, err = command(["cache", "prune", f"--days={days}"], capsys)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "expected --days of at least 0" in err
