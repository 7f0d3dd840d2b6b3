"""Everything that is typed wrong is one line, status 2, and says what was meant, in our words."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.cli.command import command

TABLE = Path(__file__).with_name("mistakes.txt").read_text(encoding="utf-8")
MISTAKES = [tuple(line.split(" | ")) for line in TABLE.splitlines()]
FOREIGN = re.compile(
    r"hydra\.cc|full_key|object_type|lexer|omegaconf|multirun|config search path|<EOF>|override|"
    r"usage:|HYDRA_|provider=|append|struct|Traceback|internal error",
    re.IGNORECASE,
)
"""Words of Hydra, OmegaConf and argparse."""


def test_there_are_mistakes_enough() -> None:
    assert len({line for line, _ in MISTAKES}) == len(MISTAKES) > 85


@pytest.mark.parametrize(("line", "words"), MISTAKES, ids=[line for line, _ in MISTAKES])
def test_a_mistake_is_one_line_that_says_what_was_meant(
    line: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = command(shlex.split(line), capsys)
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert err.startswith("robench: expected ")
    assert words in err
    assert FOREIGN.search(err) is None, err
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("name", ["my results", "résultats", "it's", "a,b", "[x]", "a=b"])
def test_any_text_is_a_folder(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / name
    place.mkdir()
    (place / "taken").write_text("")
    # A file where a folder should be: the message shows which path was read.
    status, _, err = command(["run", "--dry-run", f"results={place / 'taken'}"], capsys)
    assert status == 2
    assert str(place / "taken") in err
