"""The command line as a user meets it, on the embedded data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from robench.cli.main import main

FAST = ["model.small_cnn.width=4", "train.epochs=1", "images=40", "threads=1"]


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit status, output and errors of one command."""
    try:
        status = main(arguments)
    except SystemExit as end:
        status = int(end.code or 0)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def records(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "results").glob("*/record.json"))


def test_a_run_prints_a_table_and_leaves_a_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = run(["run", "attack=fgsm", "train.epochs=4", "images=60"], capsys)
    assert status == 0
    (path,) = records(tmp_path)
    assert f"record: {path.parent}" in out
    assert "fgsm" in out
    assert "%" in out
    status, shown, _ = run(["show", path.parent.name[:6]], capsys)
    assert status == 0
    assert "fgsm" in shown


def test_json_prints_the_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(["run", "--json", "attack=fgsm", *FAST[1:]], capsys)
    assert status == 0
    (path,) = records(tmp_path)
    assert json.loads(out) == json.loads(path.read_text())


def test_dry_run_and_cfg_run_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(["run", "--dry-run", "attack=[fgsm,pgd]", "attack.pgd.steps=7"], capsys)
    assert status == 0
    plan = json.loads(out)
    assert plan["attack"]["pgd"]["steps"] == 7
    assert plan["recipe"]["epochs"] > 0
    status, out, _ = run(["run", "--cfg", "job", "attack=pgd"], capsys)
    assert status == 0
    assert "steps: 40" in out
    assert not (tmp_path / "results").exists()


def test_a_planned_sweep_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(["run", "-m", "--dry-run", "attack=fgsm,pgd"], capsys)
    assert status == 0
    assert out.count("planned, not run") == 2
    assert not (tmp_path / "results" / "records").exists()


def test_lists_keep_their_order_and_presets_their_numbers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, out, _ = run(["run", "--dry-run", "attack=[pgd,fgsm_weak,fgsm]"], capsys)
    assert status == 0
    attacks = json.loads(out)["attack"]
    assert list(attacks) == ["pgd", "fgsm_weak", "fgsm"]
    assert attacks["fgsm_weak"]["eps"] == "weak"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["attack=pdg"], ["pdg", "attack"]),
        (["attack.pgd.steps=many"], ["many"]),
        (["attack.pgd.stepz=3"], ["stepz"]),
        (["attack.pgd.steps=0"], ["expected", "steps", "0"]),
        (["threat.eps=-1"], ["expected eps", "-1"]),
        (["threat.eps=lots"], ["expected eps", "lots"]),
        (["defense=intrs", "defense.intrs.train_sigma=inf"], ["defense.intrs.train_sigma", "inf"]),
        (["defense=intrs", "metric.certified.radii=[0.5,inf]"], ["expected finite radii", "inf"]),
        (["defense=intrs", "certifier.sequential.radii=[nan]"], ["finite radii", "nan"]),
        (["threat.norm=l7"], ["expected norm", "l7"]),
        (["defense=[none,gaussian_training]"], ["defense=none alone"]),
        (["defense=[adversarial_training,gaussian_training]"], ["one defense that trains"]),
        (["model=python"], ["spec", "module:function"]),
        (["+nothing=1"], ["nothing"]),
        (["dataset=npz", "dataset.npz.path=gone.npz"], ["gone.npz"]),
        (["images=100000"], ["expected images"]),
        (["train.lr=-1"], ["train.lr > 0"]),
        (["train.optimizer=lion"], ["train.optimizer"]),
        (["experiment=gone"], ["gone"]),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    arguments: list[str], words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(["run", *arguments], capsys)
    assert status == 2
    assert err.count("\n") == 1, err
    assert err.startswith("robench: ")
    assert all(word in err for word in words), err
    assert out == ""
    assert not records(tmp_path)


def test_a_read_only_results_folder_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results").write_text("a file where a folder should be")
    status, _, err = run(["run", "attack=fgsm", *FAST[1:]], capsys)
    assert status == 2
    assert "set results= to another folder" in err.splitlines()[-1]


def test_a_preset_may_not_name_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "presets" / "experiment"
    folder.mkdir(parents=True)
    preset = "# @package _global_\ndefaults:\n  - override /model: python\n"
    (folder / "evil.yaml").write_text(preset + "model:\n  python:\n    spec: 'os:system'\n")
    arguments = ["run", "--config-dir", str(folder.parent), "experiment=evil"]
    status, _, err = run(arguments, capsys)
    assert status == 2
    assert "a preset may not name code" in err


def test_a_sweep_goes_on_after_a_failure_and_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = ["run", "-m", "attack=fgsm", "attack.fgsm.norm=linf,l7,l2", *FAST[1:]]
    status, out, err = run(sweep, capsys)
    assert status == 2
    assert len(records(tmp_path)) == 2
    assert "3 jobs, 1 failed" in out
    assert "l7" in out
    assert "job 1 failed" in err


def test_compare_and_verify_a_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in ("0", "1"):
        assert (
            run(["run", "attack=fgsm", f"seed={seed}", "train.epochs=3", "threads=1"], capsys)[0]
            == 0
        )
    first, second = (path.parent for path in records(tmp_path))
    status, out, _ = run(["compare", str(first), str(second)], capsys)
    assert status == 0
    assert "McNemar" in out
    status, out, _ = run(["verify", str(first)], capsys)
    assert status == 0
    assert "same labels" in out


def test_cache_list_and_prune(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["run", "attack=fgsm", *FAST[1:]], capsys)
    status, out, _ = run(["cache", "list"], capsys)
    assert status == 0
    assert "train" in out
    assert run(["cache", "prune"], capsys)[0] == 0
    assert "train" not in run(["cache", "list"], capsys)[1]


def test_an_unknown_record_and_kind_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(["show", "nowhere"], capsys)
    assert (status, err.count("\n")) == (2, 1)
    status, _, err = run(["plugins", "atack"], capsys)
    assert status == 2
    assert "did you mean 'attack'?" in err


def test_installed_command_shows_tracebacks_only_on_request(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "robench", "run", "attack.pgd.steps=0"]
    plain = subprocess.run(command, capture_output=True, text=True)
    assert (plain.returncode, plain.stderr.count("\n")) == (2, 1)
    debug = {**os.environ, "ROBENCH_DEBUG": "1"}
    traced = subprocess.run(command, capture_output=True, text=True, env=debug)
    assert "Traceback" in traced.stderr
