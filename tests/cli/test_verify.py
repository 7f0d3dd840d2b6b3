"""`robench verify` and `robench challenge`: a line a step, the level, and the exit status."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from robench.cli.main import main
from robench.records.store import PROGRAM, WEIGHTS, read
from robench.records.trust import Step, content, read_attestations
from tests.cli.command import command


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small record."""
    root = tmp_path_factory.mktemp("made")
    settings = ["attack=fgsm", "audit=off", "train.epochs=3", "images=90", "threads=1"]
    assert main(["run", *settings, f"results={root}", f"cache={root / 'cache'}"]) == 0
    (path,) = root.glob("*/record.json")
    return path.parent


@pytest.fixture
def made(record: Path, tmp_path: Path) -> Path:
    """A copy of it, where the commands look for records."""
    return Path(shutil.copytree(record, tmp_path / "results" / record.name))


def test_what_stands(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = command(["verify", str(made), "--out", str(tmp_path / "by_us")], capsys)
    assert status == 0
    assert "pass     model: model.safetensors gives the 90 recorded clean labels" in out
    assert "level: verified" in out
    found = read_attestations(tmp_path / "by_us")
    assert found[content(made)].verified
    assert found[content(made)].record == read(made).id


def test_what_differs(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (made / WEIGHTS).write_bytes(b"no weights")
    status, out, _ = command(["verify", str(made), "--out", str(tmp_path / "by_us")], capsys)
    assert status == 1
    assert "FAIL" in out
    assert "level: reported" in out
    assert read_attestations(tmp_path / "by_us")[content(made)].refuted


def test_what_cannot_be_done(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A record from before models were kept."""
    (made / WEIGHTS).unlink()
    text = json.loads((made / "record.json").read_text())
    text["files"] = {}
    (made / "record.json").write_text(json.dumps(text))
    status, out, _ = command(["verify", str(made)], capsys)
    assert status == 0
    assert "not done model: the record keeps no model" in out
    assert "level: verified" not in out


@pytest.mark.parametrize("name", ["verify", "export"])
@pytest.mark.parametrize("out", ["a_file", "a_file/below"])
def test_a_file_is_no_place_to_write_into_and_said_before_the_work(
    name: str,
    out: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "a_file").write_text("kept")
    monkeypatch.setattr("robench.records.store.find", lambda *_: pytest.fail("worked"))
    status, shown, err = command([name, "any", "--out", str(tmp_path / out)], capsys)
    assert (status, shown, err.count("\n")) == (2, "", 1)
    assert "expected --out to name a folder to write into" in err


def test_no_record_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["verify", "zzzz"], capsys)[0] == 2


def test_control_sequences_are_not_printed(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = json.loads((made / "record.json").read_text())
    text["config"]["model"] = {"\x1b]52;c;x\x07[/red]": {}}
    text["files"] = {}
    (made / "record.json").write_text(json.dumps(text))
    _, out, _ = command(["verify", str(made)], capsys)
    assert "\x1b" not in out
    assert "\x07" not in out


def test_a_step_is_one_line_whatever_it_repeats(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(name: str, work: object, *, needed: bool = True) -> Step:
        return Step(name=name, outcome="fail", text="no\n  level: verified\x1b[2J", needed=needed)

    monkeypatch.setattr("robench.replay.verify.step", said)
    _, out, _ = command(["verify", str(made)], capsys)
    assert "  level: verified" not in out.splitlines()
    assert "FAIL     consistent: no level: verified\\u001b[2J" in out


@pytest.mark.parametrize("source", ["me\n  level: verified", "\x1b[2J", "see /root/secret", ""])
def test_a_source_that_no_page_shows_is_bad_input(
    source: str, made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["challenge", str(made), "x.npz", "--norm", "linf", "--eps", "1/5"]
    status, _, err = command([*given, "--source", source], capsys)
    assert status == 2
    assert len(err.splitlines()) == 1
    assert "source" in err


def test_a_challenge_is_kept(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "x.npz", images=np.zeros((90, 1, 8, 8), np.uint8))
    given = ["challenge", str(made), str(tmp_path / "x.npz"), "--norm", "linf", "--source", "me"]
    status, _, err = command([*given, "--eps", "1/255"], capsys)
    assert status == 2
    assert "expected a threat of the record (linf 0.2), got linf 1/255" in err
    status, _, err = command([*given, "--eps", "strong"], capsys)
    assert status == 2
    assert "expected a number for --eps" in err
    status, _, err = command([*given, "--eps", "1/5"], capsys)
    assert status == 2
    assert "within linf 0.2 of the judged images, got one at position 0" in err
    assert not (made / PROGRAM).exists()
