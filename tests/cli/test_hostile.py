"""What comes from outside is shown as it is: no markup, no code that moves a terminal."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from robench.base.text import visible
from robench.cli import main as command_line
from robench.cli import terminal
from robench.cli.standings import print_standings
from robench.plugin import registry as plugins
from robench.run.sweeps import Standing
from tests.cli.command import command
from tests.plugin.test_registry import Still, registering
from tests.published import copy_of

PUBLISHED = Path(__file__).parents[2] / "leaderboard/records"

HOSTILE = {
    "markup": "[/bold]x",
    "open markup": "[red]x",
    "link": "[link=http://x]y[/link]",
    "colour": "\x1b[31mred",
    "clipboard": "\x1b]52;c;ZXZpbA==\x07",
    "clear": "\x1b[2J\x1b[H",
    "one byte": "\x9b31m\x9d0;title\x9c",
    "title": "\x1b]0;title\x1b\\",
    "backspaces": "no\x08\x08yes",
    "return": "bad\rgood",
    "null": "a\x00b",
    "delete": "a\x7fb",
    "bidi": "\u202egpj.exe\u2066x\u2069",
    "no width": "a\u200b\u200fb\ufeff",
    "separators": "a\u2028b\u2029c",
    "backslash": "x\\[bold]y\\",
}
MOVES = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def source() -> Path:
    """A published record with an audit, notes or not."""
    for path in sorted(PUBLISHED.glob("*/record.json")):
        if json.loads(path.read_text())["audit"]:
            return path.parent
    raise AssertionError("expected an audited record")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of a published record."""
    return copy_of(source(), tmp_path / "record")


Change = Callable[[dict[str, Any]], Any]


def write(folder: Path, change: Change) -> None:
    path = folder / "record.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def poisoned(record: dict[str, Any], text: str) -> None:
    """The text wherever a record holds one."""
    record["notes"] = {text: [{text: text}, {text: [text]}], "also" + text: text}
    record["values"][-1] |= {"metric": text, "unit": text, "axes": {text: text}}
    record["values"].append({**record["values"][0], "metric": "robust_accuracy", "axes": {}})
    axes = {"attack": text, "access": text, "norm": text, "eps": text}
    record["values"].append({**record["values"][-1], "metric": "robust_accuracy", "axes": axes})
    record["rows"][0] |= {"status": "invalid", "message": text, "attack": text}
    record["audit"][0]["findings"][0] |= {"verdict": "fail", "sentence": text}
    record["audit"][0]["weak_attacks"] = [
        {"attack": text, "access": text, "gained": 1.0, "low": 0.0, "high": 1.0, "missed": 0.5}
    ]
    record["data"]["name"] = text
    record["overrides"] = [text]
    record["config"]["defense"] = {text: {text: text}}
    record["provenance"]["components"][f"defense.{text}"] = text


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_show_prints_hostile_texts_as_they_are(
    text: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, lambda record: poisoned(record, text))
    status, out, err = command(["show", str(folder)], capsys)
    assert (status, err) == (2, "")
    assert "contradicts itself: expected " in out.splitlines()[0]
    assert MOVES.search(out + err) is None
    assert visible(text) in out
    status, out, err = command(["show", "--json", str(folder)], capsys)
    assert status == 2
    assert "contradicts itself: expected " in err
    assert err.count("\n") == 1
    assert MOVES.search(out + err) is None
    assert json.loads(out)["data"]["name"] == text


def _drop(*path: Any) -> Change:
    def change(record: Any) -> None:
        for key in path[:-1]:
            record = record[key]
        del record[path[-1]]

    return change


def _set(value: Any, *path: Any) -> Change:
    def change(record: Any) -> None:
        for key in path[:-1]:
            record = record[key]
        record[path[-1]] = value

    return change


MALFORMED: dict[str, Change] = {
    "no defense": _drop("config", "defense"),
    "no model": _drop("config", "model"),
    "no train": _drop("config", "train"),
    "no config": _set({}, "config"),
    "defense is a list": _set(["none"], "config", "defense"),
    "options are a list": _set({"none": []}, "config", "defense"),
    "model is null": _set(None, "config", "model"),
    "train is text": _set("x", "config", "train"),
    "unknown option": _set({"none": {"x": 1}}, "config", "defense"),
    "seed is text": _set("x", "config", "seed"),
    "axes with arguments' names": lambda r: [
        v["axes"].update(metric="x", self=1) for v in r["values"]
    ],
    "no axes": lambda r: [v.update(axes={}) for v in r["values"]],
    "texts as eps": lambda r: [v["axes"].update(eps="x") for v in r["values"] if v["axes"]],
    "low without high": lambda r: [v.update(low=0.0, high=None) for v in r["values"]],
    "high without low": lambda r: [v.update(low=None, high=1.0) for v in r["values"]],
    "no values": _set([], "values"),
    "no rows": _set([], "rows"),
    "empty notes": _set({"a": [], "b": {}, "c": [{}], "d": None, "e": [[]]}, "notes"),
    "ragged notes": _set({"a": [{"x": 1}, {"y": {"z": 2}}]}, "notes"),
    "deep notes": _set({"a": json.loads("[" * 100 + "]" * 100)}, "notes"),
    "components of nothing": _set({}, "provenance", "components"),
    "many threads": _set(10**9, "provenance", "threads"),
    "negative threads": _set(-1, "provenance", "threads"),
    "huge seed": _set(10**4000, "seed"),
    "another schema": _set("two", "schema_version"),
    "huge numbers": lambda r: [row.update(seconds=1e308) for row in r["rows"]],
}


@pytest.mark.parametrize("change", MALFORMED.values(), ids=MALFORMED)
@pytest.mark.parametrize("verb", ["show", "compare"])
def test_a_malformed_record_is_shown_or_is_one_line(
    verb: str, change: Change, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, change)
    status, out, err = command([verb, str(folder), *[str(source())] * (verb == "compare")], capsys)
    assert status in (0, 2), err
    assert err.count("\n") <= 1
    assert bool(err) != bool(out), "a record that cannot be shown is a line"
    # One that contradicts itself is shown, after that was said.
    assert err or status == 0 or "contradicts itself" in out.splitlines()[0]


def test_what_is_no_record_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for content in (
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"{" * 10_000,
        b'{"id": "\x1b]52;c;eA==\x07"}',
    ):
        (folder / "record.json").write_bytes(content)
        status, out, err = command(["show", str(folder)], capsys)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert MOVES.search(err.rstrip("\n")) is None


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_every_other_way_to_a_terminal_is_the_same(
    text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = dataclasses.make_dataclass("Odd", (), bases=(Still,), frozen=True, kw_only=True)
    odd.__doc__ = text

    def load() -> ModuleType:
        raise ImportError(text)

    known = plugins.discover(
        [
            ("odd", "d", f"1{text}", lambda: registering(("attack", "odd", odd))),
            ("bad", "d2", "1", load),
        ]
    )
    monkeypatch.setattr(plugins, "registry", lambda: known)
    seen = command(["plugins", "attack"], capsys)
    record = Path(text.replace("\0", "0"))
    print_standings(
        [Standing(0, (text,), "failed", text), Standing(1, (text,), "done", "", record)]
    )
    terminal.print_line(text)
    terminal.print_text(text, "red")
    terminal.print_prose(text)
    command_line.complain(text)
    captured = capsys.readouterr()
    for words in (*seen[1:], captured.out, captured.err):
        assert MOVES.search(words) is None
        # An error is one line, so its white space is one blank.
        assert any(visible(one)[:6] in words for one in (text, " ".join(text.split())))


def test_an_unknown_name_on_the_command_line_is_shown_as_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = "\x1b[2J[/bold]"
    for arguments in (["show", text], ["plugins", text], ["run", f"attack={text}"]):
        status, _, err = command(arguments, capsys)
        assert status == 2
        assert MOVES.search(err.rstrip("\n")) is None
