"""`robench run` as a user meets it, on the embedded data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import FAST, command, records


def test_a_run_prints_a_table_and_leaves_a_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = f"results={tmp_path / 'results'}"
    typed = ["attack=fgsm", "train.epochs=4", "images=60"]
    status, out, _ = command(["run", place, *typed], capsys)
    assert status == 0
    (path,) = records(tmp_path)
    assert json.loads(path.read_text())["overrides"] == typed
    assert f"record: {path.parent}" in out
    assert "fgsm" in out
    assert "%" in out
    status, shown, _ = command(["show", path.parent.name[:6]], capsys)
    assert status == 0
    assert "fgsm" in shown


def test_json_prints_the_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = command(["run", "--json", "attack=fgsm", *FAST], capsys)
    assert status == 0
    (path,) = records(tmp_path)
    assert json.loads(out) == json.loads(path.read_text())


def test_dry_run_and_cfg_run_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = command(
        ["run", "--dry-run", "--json", "attack=[fgsm,pgd]", "attack.pgd.steps=7"], capsys
    )
    assert status == 0
    plan = json.loads(out)
    assert plan["attack"]["pgd"]["steps"] == 7
    assert plan["recipe"]["epochs"] > 0
    status, out, _ = command(["run", "--cfg", "job", "attack=pgd"], capsys)
    assert status == 0
    assert "steps: 40" in out
    assert not (tmp_path / "results").exists()


def test_a_planned_sweep_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = command(["run", "-m", "--dry-run", "attack=fgsm,pgd"], capsys)
    assert status == 0
    assert out.startswith("2 jobs, 0 failed")
    assert out.count("planned, not run") == 1
    status, out, _ = command(["run", "-m", "--dry-run", "--json", "attack=fgsm,pgd"], capsys)
    assert [list(plan["attack"]) for plan in json.loads(out)] == [["fgsm"], ["pgd"]]
    assert not (tmp_path / "results" / "records").exists()


def test_lists_keep_their_order_and_presets_their_numbers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, out, _ = command(["run", "--dry-run", "--json", "attack=[pgd,fgsm_weak,fgsm]"], capsys)
    assert status == 0
    attacks = json.loads(out)["attack"]
    assert list(attacks) == ["pgd", "fgsm_weak", "fgsm"]
    assert attacks["fgsm_weak"]["eps"] == "weak"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["threat.eps=-1"], ["expected eps", "-1"]),
        (["defense=intrs", "defense.intrs.train_sigma=inf"], ["defense.intrs.train_sigma", "inf"]),
        (
            ["defense=intrs", "metric.certified.radii=[0.5,inf]"],
            ["metric.certified.radii[1]", "finite", "inf"],
        ),
        (
            ["defense=intrs", "metric.certified.radii=[0.25,0.5]"],
            ["radii that increase from 0", "0.25"],
        ),
        (["defense=[adversarial_training,gaussian_training]"], ["one defense that trains"]),
        (["dataset=npz", "dataset.npz.path=gone.npz"], ["gone.npz"]),
        (["images=100000"], ["expected images"]),
        (["train.optimizer=lion"], ["train.optimizer"]),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    arguments: list[str], words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = command(["run", *arguments], capsys)
    assert status == 2
    assert err.count("\n") == 1, err
    assert err.startswith("robench: ")
    assert all(word in err for word in words), err
    assert out == ""
    assert not records(tmp_path)


@pytest.mark.parametrize("plan", [["--dry-run"], []])
@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("device=banana", "expected device to be auto, cpu"),
        ("device=cuda:", "expected device to be auto, cpu"),
        ("threads=0", "expected threads from 1"),
        ("threads=-1", "expected threads from 1"),
        ("threads=1000000000000", "expected threads from 1"),
        ("results=a_file", "set results= to another folder"),
        ("results=a_file/below", "set results= to another folder"),
        ("cache=a_file", "set cache= to another folder"),
    ],
)
def test_where_to_run_is_checked_with_the_configuration(
    setting: str,
    words: str,
    plan: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a_file").write_text("a file where a folder should be")
    status, out, err = command(["run", *plan, setting], capsys)
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert words in err
    assert not (tmp_path / "cache").exists()


def test_a_folder_that_may_not_be_written_is_said_before_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "results").mkdir()
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path / "results")
    status, _, err = command(["run", "--dry-run"], capsys)
    assert status == 2
    assert "results' may not be written" in err


def test_a_device_that_is_not_here_is_said_before_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for plan in (["--dry-run"], []):
        status, out, err = command(["run", *plan, "device=cuda:99"], capsys)
        assert (status, out, err.count("\n")) == (2, "", 1), err
        assert "expected a device that is here, got 'cuda:99'" in err
    assert not (tmp_path / "cache").exists()


def test_a_preset_may_not_name_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "presets" / "experiment"
    folder.mkdir(parents=True)
    preset = "# @package _global_\ndefaults:\n  - override /model: python\n"
    (folder / "evil.yaml").write_text(preset + "model:\n  python:\n    spec: 'os:system'\n")
    arguments = ["run", "--config-dir", str(folder.parent), "experiment=evil"]
    status, _, err = command(arguments, capsys)
    assert status == 2
    assert "a preset may not name code" in err


def test_a_sweep_goes_on_after_a_failure_and_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = ["run", "-m", "attack=fgsm", "attack.fgsm.norm=linf,l7,l2", *FAST]
    status, out, err = command(sweep, capsys)
    assert status == 2
    assert len(records(tmp_path)) == 2
    assert "3 jobs, 1 failed" in out
    assert "l7" in out
    assert "job 1 failed" in err


def test_a_job_leaves_out_options_of_what_it_has_not(capsys: pytest.CaptureFixture[str]) -> None:
    sweep = ["-m", "defense=none,mulaw", "defense.mulaw.mu=64,255", "attack=[]"]
    status, out, _ = command(["run", "--dry-run", "--json", *sweep], capsys)
    assert status == 0
    assert [plan["defense"] for plan in json.loads(out)] == [
        {"none": {}},
        {"mulaw": {"mu": 64.0, "layers": 1}},
        {"mulaw": {"mu": 255.0, "layers": 1}},
    ]
    sweep = ["-m", "defense=none,mulaw", "defense.mulaw.mu=64", "seed=0,1", "attack=[]"]
    status, out, _ = command(["run", "--dry-run", "--json", *sweep], capsys)
    assert [(list(p["defense"]), p["seed"]) for p in json.loads(out)] == [
        (["none"], 0),
        (["none"], 1),
        (["mulaw"], 0),
        (["mulaw"], 1),
    ]


def test_what_a_defense_brings_has_its_options_in_a_sweep(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sweep = ["-m", "defense=none,intrs", "compressor.qat_int8.calibration=8", "attack=[]"]
    status, _, err = command(["run", "--dry-run", *sweep], capsys)
    assert (status, err.count("\n")) == (2, 1)
    assert "expected an option of compressor.qat_int8, got 'calibration'" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["defense=mulaw", "defense.mulaw.layers=99"], "expected layers between 1 and 5"),
        (["images=1000"], "expected images of at most 360"),
        (["metric=[accuracy,certified]"], "expected a smoothed system"),
    ],
)
def test_a_plan_refuses_what_the_run_would(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = command(["run", "--dry-run", *arguments], capsys)
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert words in err


def test_a_plan_says_what_is_cached_and_how_long_it_took(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["attack=fgsm", "audit=off", *FAST]
    before = command(["run", "--dry-run", *run], capsys)[1]
    assert "1 epochs (to be made)" in before
    assert "fgsm at linf 0.2" in before
    assert "no estimate" in before
    status, out, err = command(["run", "--quiet", *run], capsys)
    (path,) = records(tmp_path)
    assert (status, out, err) == (0, f"{path.parent}\n", "")
    after = command(["run", "--dry-run", *run], capsys)[1]
    assert "1 epochs (cached)" in after
    assert "its record is there already" in after
    other = command(["run", "--dry-run", *run, "seed=1"], capsys)[1]
    assert "by earlier runs of the same choices" in other


def test_seeds_of_a_system_are_one_line_with_their_spread(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sweep = ["run", "-m", "attack=fgsm", "seed=0,1", "audit=off", *FAST]
    status, out, _ = command(sweep, capsys)
    assert status == 0
    (line,) = [line for line in out.splitlines() if line.startswith("small_cnn")]
    assert line.split()[1] == "0,1"
    assert line.count("±") == 2


def test_a_model_of_ones_own_that_raises_is_named_by_file_and_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own_net.py").write_text(
        "def make(shape, classes):\n    raise ValueError('boom')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    status, out, err = command(["run", "model=python", "model.python.spec=own_net:make"], capsys)
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert f"ValueError at {tmp_path / 'own_net.py'}:2: boom" in err
