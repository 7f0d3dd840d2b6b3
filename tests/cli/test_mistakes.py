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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["threat.eps=0,031"], "expected threat.eps=0.031, got '0,031': decimals have a point\n"),
        (["-m", "defense=none,gausian"], "got 'gausian'; did you mean 'gaussian_training'?\n"),
    ],
)
def test_what_was_meant_is_said(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = command(["run", *arguments], capsys)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.endswith(words)


LONG = "b" * 5000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", f"defense={LONG}"], "expected defense=CHOICE"),
        (["run", "-m", f"defense=none,{LONG}"], "expected defense=CHOICE"),
        (["run", f"{LONG}=1"], "expected GROUP=CHOICE"),
        (["run", f"hydra/launcher={LONG}"], "expected GROUP=CHOICE"),
        (["run", f"data_root={LONG}", "dataset=mnist"], "expected data_root= to be a path"),
        (["run", f"results={LONG}"], "expected results= to be a path"),
        (["run", "-m", f"hydra.sweep.dir={LONG}", "seed=0,1"], "expected hydra.sweep.dir= to be"),
        (["run", f"cache={'c/' * 2500}"], "3900 in all"),
        (["show", LONG], "expected a record folder"),
        (["sweep", "status", LONG], "File name too long"),
        (["leaderboard", "results", "--out", LONG], "expected --out to be a path"),
        (["leaderboard", LONG, "--out", "page"], "File name too long"),
    ],
    ids=lambda given: None if isinstance(given, str) else given[0],
)
def test_what_is_too_long_for_any_name_is_shortened(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = command(arguments, capsys)
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert words in err
    assert "..." in err
    assert len(err) < 1000
    assert FOREIGN.search(err) is None, err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["results=/proc/x"],
        ["--dry-run", "results=/proc/x"],
        ["cache=/proc/x"],
        ["-m", "seed=0,1", "results=/proc/x"],
        ["-m", "seed=0,1", "hydra.sweep.dir=/proc/x"],
        ["-m", "seed=0,1", "--dry-run", "hydra.sweep.dir=/proc/x"],
    ],
)
def test_a_folder_that_cannot_be_made_is_named_before_the_work(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Its mode says that it may be written, for root at least; its file system takes nothing."""
    status, out, err = command(["run", *arguments], capsys)
    named = arguments[-1].partition("=")[0]
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert f"robench: expected {named}= to name a folder to write into, got '/proc/x': " in err
    assert err.endswith(f"set {named}= to another folder\n")


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


@pytest.mark.parametrize(
    "arguments",
    [
        ["results=~/mine", "cache=~/kept"],
        ["-m", "seed=0,1", "results=~/mine", "cache=~/kept"],
        ["-m", "seed=0,1", "hydra.sweep.dir=~/mine", "cache=~/kept"],
    ],
)
def test_a_tilde_is_the_home_folder(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A file stands where the folder should be, so the message shows which path was read."""
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    (home / "mine").write_text("")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    status, _, err = command(["run", "--dry-run", *arguments], capsys)
    assert status == 2
    assert str(home / "mine") in err
    assert list(here.iterdir()) == []


def test_a_tilde_in_the_environment_is_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").write_text("")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ROBENCH_RESULTS", "~/mine")
    for arguments in ([], ["-m", "seed=0,1"]):
        status, _, err = command(["run", "--dry-run", *arguments], capsys)
        assert status == 2
        assert str(tmp_path / "mine") in err
