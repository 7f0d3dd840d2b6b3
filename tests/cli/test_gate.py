"""`robench gate`: a status for a pipeline."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from robench.base.errors import UserError
from robench.core.record import Audit, Record, Value, share
from robench.records.demand import check_audit, check_least, read_least
from tests.cli.command import FAST, command


@pytest.fixture
def values() -> tuple[Value, ...]:
    axes = {"access": "white_box", "norm": "linf"}
    return (
        share("clean_accuracy", 9, 10, {}),
        share("robust_accuracy", 6, 10, {"attack": "pgd", "eps": 8 / 255, **axes}),
        share("robust_accuracy", 4, 10, {"attack": "fgsm", "eps": 8 / 255, **axes}),
        share("robust_accuracy", 8, 10, {"attack": "pgd", "eps": 0.01, **axes}),
        Value(metric="latency", value=None),
    )


@pytest.mark.parametrize(
    ("demand", "met"),
    [
        ("clean_accuracy=0.9", True),
        ("clean_accuracy=0.91", False),
        ("robust_accuracy[linf,8/255]=0.4", True),
        ("robust_accuracy[linf,8/255]=0.5", False),
        ("robust_accuracy[pgd, 8/255]=0.5", True),
        ("robust_accuracy[0.01]=3/4", True),
        ("latency=1", False),
    ],
)
def test_the_smallest_value_of_the_axes_decides(
    demand: str, met: bool, values: tuple[Value, ...]
) -> None:
    assert check_least(read_least(demand), values).met is met


@pytest.mark.parametrize(
    ("demand", "words"),
    [
        ("clean_acuracy=0.9", "did you mean 'clean_accuracy'"),
        ("robust_accuracy[l2]=0.9", "it has pgd,8/255,white_box"),
        ("robust_accuracy[linf 8/255]=0.4", r"commas part the axes: robust_accuracy\[linf,8/255\]"),
        ("clean_accuracy=90", "did you mean 0.9"),
        ("clean_accuracy=90%", r"got 'clean_accuracy=90%'; did you mean 0\.9\?"),
        ("clean_accuracy=-0.4", "expected a share above 0 for clean_accuracy, got -0.4: no record"),
        (
            "robust_accuracy[linf,8/255]=0",
            r"a share above 0 for robust_accuracy\[linf",
        ),
        ("clean_accuracy", "expected METRIC"),
        ("clean_accuracy=high", "expected METRIC"),
    ],
)
def test_what_is_not_there_is_no_pass(demand: str, words: str, values: tuple[Value, ...]) -> None:
    with pytest.raises(UserError, match=words):
        check_least(read_least(demand), values)


def test_audits_are_met_by_their_worst() -> None:
    audit = Audit(norm="linf", eps=0.1, level="quick", n=10, verdict="suspect")
    record = Record.model_construct(audit=(audit, audit.model_copy(update={"verdict": "pass"})))
    assert [one.met for one in check_audit(record, "pass")] == [False, True]
    assert all(one.met for one in check_audit(record, "suspect"))
    (none,) = check_audit(Record.model_construct(audit=()), "suspect")
    assert not none.met


def test_the_status_says_whether_all_is_met(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command(["run", "attack=fgsm", "audit=off", *FAST], capsys)
    demand = ["gate", "last", "--min", "headline[linf,0.2]=0.001"]
    status, out, _ = command(demand, capsys)
    assert (status, out.startswith("met: headline[linf,0.2] is ")) == (0, True)
    assert command([*demand, "--quiet"], capsys) == (0, "", "")
    status, out, _ = command([*demand, "--audit", "pass"], capsys)
    assert (status, "not met: no audit" in out) == (1, True)
    status, out, _ = command([*demand, "--audit", "pass", "--json"], capsys)
    assert [one["met"] for one in json.loads(out)["demands"]] == [True, False]


PUBLISHED = Path(__file__).parents[2] / "leaderboard/records/12a2c677ed80dc9b"


def test_a_record_edited_by_hand_meets_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "edited"
    shutil.copytree(PUBLISHED, folder)
    path = folder / "record.json"
    record = json.loads(path.read_text())
    (clean,) = (one for one in record["values"] if one["metric"] == "clean_accuracy")
    clean["value"] = 0.999
    path.write_text(json.dumps(record))
    status, out, err = command(["gate", str(folder), "--min", "clean_accuracy=0.99"], capsys)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "edited contradicts itself: expected " in err
    assert "clean_accuracy" in err
    status, out, shown = command(["show", str(folder)], capsys)
    first, *others = out.splitlines()
    assert (status, shown, f"robench: {first}\n") == (2, "", err)
    assert "99.9" in "".join(others), "what it says is shown, too"
    assert command(["show", str(PUBLISHED), "--csv"], capsys)[2] == ""
    assert command(["show", str(folder), "--csv"], capsys)[2] == err
    status, out, shown = command(["compare", str(PUBLISHED), str(folder)], capsys)
    assert (status, shown, out.splitlines()[0]) == (0, "", first)
    assert out.count("contradicts itself") == 1
    status, out, shown = command(["list", str(tmp_path)], capsys)
    assert (status, shown) == (0, "")
    line, reason = (line for line in out.splitlines() if "contradicts itself" in line)
    assert line.startswith(record["id"][:8])
    assert "clean_accuracy" in reason


def test_a_long_record_is_cut_and_a_day_to_come_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "long"
    shutil.copytree(PUBLISHED, folder)
    path = folder / "record.json"
    record = json.loads(path.read_text())
    record["notes"] = {"deep": "x" * 900_000, "many": [{"n": at} for at in range(9_000)]}
    record["timings"] = {"finished": 9e9}
    path.write_text(json.dumps(record))
    status, out, _ = command(["show", str(folder)], capsys)
    *lines, left, where, again = out.splitlines()
    assert status == 0
    assert max(map(len, lines)) <= 500
    assert len(lines) == 300
    assert left.endswith("more lines: robench show --json has all")
    assert (where[:7], again[:6]) == ("record:", "again:")
    shutil.copytree(PUBLISHED, tmp_path / "sound")
    listed = command(["list", str(tmp_path)], capsys)[1].splitlines()
    assert "2255-03-14 16:00 (in the future)" in listed[2]


def test_damaged_outcomes_are_refused_before_an_audit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("audited")

    monkeypatch.setattr("robench.replay.audit.audit_record", never)
    shutil.copytree(PUBLISHED, tmp_path / "torn")
    with (tmp_path / "torn" / "outcomes.parquet").open("r+b") as file:
        file.truncate(500)
    said = command(["audit", str(tmp_path / "torn")], capsys)
    assert (said[0], said[1], said[2].count("\n")) == (2, "", 1)
    assert said == command(["show", str(tmp_path / "torn")], capsys)


@pytest.mark.parametrize(("least", "status"), [("0.15", 0), ("0.3", 1)])
def test_a_published_file_passes_what_it_keeps(
    least: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """ONNX Runtime's file of the adversarially trained ResNet-20."""
    demand = f"audited_accuracy[linf,8/255]={least}"
    given, out, _ = command(["gate", str(PUBLISHED), "--min", demand], capsys)
    assert given == status
    assert "audited_accuracy[linf,8/255] is 0.228" in out
