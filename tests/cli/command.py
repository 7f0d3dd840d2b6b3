"""The command line, called in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from robench.cli.main import main

FAST = ["train.epochs=1", "images=40", "threads=1"]


def command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit status, output and errors of one command."""
    try:
        status = main(arguments)
    except SystemExit as end:
        status = int(end.code or 0)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def records(tmp_path: Path) -> list[Path]:
    """The records that the commands of a test left."""
    return sorted((tmp_path / "results").glob("*/record.json"))
