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


def test_prune_says_what_it_would_delete_and_deletes_it_when_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    command(["run", "attack=fgsm", *FAST], capsys)
    listed = command(["cache", "list"], capsys)[1]
    status, out, _ = command(["cache", "prune"], capsys)
    assert status == 0
    said = "nothing is deleted yet: --yes deletes these, --days 30 spares what was read since"
    assert out == f"{listed}{said}\n"
    assert command(["cache", "prune", "--days", "1", "--yes"], capsys)[1] == (
        "deleted: 0 results, 0.0 MiB\n"
    )
    assert command(["cache", "list"], capsys)[1] == listed
    status, out, _ = command(["cache", "prune", "--yes"], capsys)
    assert status == 0
    assert out.startswith("deleted: ")
    assert "train" not in command(["cache", "list"], capsys)[1]
    assert command(["show"], capsys)[0] == 0, "the record stays"


@pytest.mark.parametrize("days", ["-1", "nan", "inf", "-inf"])
def test_a_span_that_is_none_deletes_nothing(
    days: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cache, "delete", lambda *_: pytest.fail("deleted"))
    status, out, err = command(["cache", "prune", "--yes", f"--days={days}"], capsys)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "expected --days of at least 0" in err
