"""Nothing of this machine gets into a configuration by a resolver."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import FAST, command

SECRET = "s3cr3t-token"


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROBENCH_TEST_SECRET", SECRET)


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        (["model=checkpoint", "model.checkpoint.path=${oc.env:HOME}"], "model.checkpoint.path"),
        (["dataset=npz", "dataset.npz.path=${oc.env:HOME}/x.npz"], "dataset.npz.path"),
        (["attack.pgd.eps=[0.1,'${oc.env:ROBENCH_TEST_SECRET,1}']"], "attack.pgd.eps[1]"),
        (["attack.pgd.loss=${ oc.env : ROBENCH_TEST_SECRET }"], "attack.pgd.loss"),
        (["attack.pgd.loss=${oc.decode:${oc.env:ROBENCH_TEST_SECRET}}"], "attack.pgd.loss"),
        (["attack.pgd.steps=${oc.select:seed}"], "attack.pgd.steps"),
        (["train.optimizer=${oc.env:ROBENCH_TEST_SECRET}"], "train.optimizer"),
        (["threat.norm=${oc.env:ROBENCH_TEST_SECRET}"], "threat.norm"),
        (["audit.level=${oc.env:ROBENCH_TEST_SECRET}"], "audit.level"),
        (["certifier.sequential.radius=${oc.env:ROBENCH_TEST_SECRET}"], "certifier.sequential"),
        (["access=transfer", "+access.transfer.source.model=${oc.env:HOME}"], "access.transfer"),
        (["device=${oc.env:ROBENCH_TEST_SECRET}"], "device"),
        (["dataset=npz", "dataset.npz.path=${results}/x.npz"], "results"),
        (
            ["results=${oc.env:ROBENCH_TEST_SECRET}", "attack.pgd.loss=${results}"],
            "results",
        ),
        (["results=/x", "attack.pgd.loss=${cache}"], "cache"),
    ],
)
@pytest.mark.parametrize("sweep", [[], ["-m"]])
def test_what_a_resolver_would_read_is_refused_by_name(
    sweep: list[str],
    arguments: list[str],
    where: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    chosen = ["--dry-run", "attack=pgd", *arguments]
    status, out, err = command(["run", *sweep, *chosen], capsys)
    assert status == 2
    assert err.count("\n") == 1
    assert where in err
    assert SECRET not in out + err
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert all(SECRET not in path.read_text() for path in files)


def test_settings_may_name_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "--json",
        "attack=[fgsm,pgd]",
        "seed=3",
        "attack.pgd.restarts=${seed}",
        "attack.fgsm.eps=${attack.pgd.eps}",
    ]
    status, out, _ = command(["run", "--dry-run", *arguments, "attack.pgd.eps=0.1"], capsys)
    assert status == 0
    attacks = json.loads(out)["attack"]
    assert (attacks["pgd"]["restarts"], attacks["fgsm"]["eps"]) == (3, 0.1)


def test_the_folders_may_read_the_environment(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["results=${oc.env:ROBENCH_TEST_SECRET}/r", "cache=${results}/c"]
    status, out, _ = command(["run", "--dry-run", "--json", *arguments], capsys)
    assert status == 0
    assert json.loads(out)["places"]["cache"] == f"{SECRET}/r/c"


def test_where_files_lie_is_not_kept(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    typed = "cache=${oc.env:ROBENCH_TEST_SECRET}"
    assert command(["run", "-m", *FAST, "attack=fgsm", "results=here", typed], capsys)[0] == 0
    (note,) = (tmp_path / "here/sweeps").rglob("0.json")
    notes = [note, *note.parents[1].rglob("*.json"), *note.parents[1].rglob("*.yaml")]
    assert all(SECRET not in one.read_text() for one in notes)
    assert not any(one.startswith("cache") for one in json.loads(note.read_text())["overrides"])
