"""`robench show`, and what every command says of a record that is not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import FAST, command, records


def test_a_record_by_the_beginning_of_its_id_or_its_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command(["run", "attack=fgsm", *FAST], capsys)
    (path,) = records(tmp_path)
    by_id = command(["show", path.parent.name[:6]], capsys)
    assert by_id == command(["show", str(path.parent)], capsys)
    status, out, _ = by_id
    assert status == 0
    assert "fgsm" in out
    assert f"record: {path.parent}" in out
    status, out, _ = command(["show", "--json", path.parent.name], capsys)
    assert (status, json.loads(out)) == (0, json.loads(path.read_text()))
    assert command(["show"], capsys) == by_id, "the one that was written last"
    table = command(["show", "last", "--csv"], capsys)[1].splitlines()
    assert table[0] == "metric,attack,access,norm,eps,value,low,high,n,unit"
    assert sum(line.startswith("robust_accuracy,fgsm,white_box,linf,0.2,") for line in table) == 1
    assert r"fgsm & " in command(["show", "--latex"], capsys)[1]
    listed = json.loads(command(["list", "--json"], capsys)[1])
    assert [one["record"] for one in listed] == [path.parent.name[:8]]
    assert path.parent.name[:8] in command(["list"], capsys)[1]
    moved = path.parent.parent.rename(tmp_path / "elsewhere")
    assert path.parent.name[:8] in command(["list", str(moved)], capsys)[1]
    assert path.parent.name[:8] not in command(["list"], capsys)[1]


def test_the_table_fits_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command(
        [
            "run",
            "attack=[fgsm,pgd]",
            "attack.pgd.steps=2",
            "audit=off",
            "threat.eps=[0.05,0.1,0.2,0.3,0.4]",
            *FAST,
        ],
        capsys,
    )
    free = command(["show"], capsys)[1]
    assert len(next(line for line in free.splitlines() if line.startswith("attack "))) > 60
    for columns in (60, 80):
        monkeypatch.setenv("COLUMNS", str(columns))
        status, out, _ = command(["show"], capsys)
        assert status == 0
        # Paths and commands are copied, and never broken.
        lines = [one for one in out.splitlines() if not one.startswith(("record:", "again:"))]
        assert max(map(len, lines)) <= columns
        assert out.count("\npgd ") >= 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["show"],
        ["verify"],
        ["gate", "--audit=pass"],
        ["audit"],
        ["export"],
        ["compare", "elsewhere"],
    ],
)
def test_an_unknown_record_is_one_line_and_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = command([*arguments, "nowhere"], capsys)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "expected a record folder or the beginning of one id" in err
