"""`robench show`, and what every command says of a record that is not there."""

from __future__ import annotations

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
    assert (status, out) == (0, path.read_text().rstrip() + "\n")


@pytest.mark.parametrize(
    "arguments",
    [["show"], ["verify"], ["audit"], ["export"], ["compare", "elsewhere"]],
)
def test_an_unknown_record_is_one_line_and_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = command([*arguments, "nowhere"], capsys)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "expected a record folder or the beginning of one id" in err
