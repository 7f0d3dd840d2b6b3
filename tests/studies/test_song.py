"""The studies of Song et al.: pairs, choice of records, claims, and what the report shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from robench.base.errors import ConfigError
from robench.cli.main import main
from robench.core.record import Audit, Finding, Value
from robench.studies import read_cells
from robench.studies.catalogue import find
from robench.studies.claims import Claim, Difference
from robench.studies.measures import Measure
from robench.studies.report import report
from robench.studies.run import Records
from robench.studies.runs import Runs, Variant
from robench_studies.song2021.claims import largest_norm
from robench_studies.song2021.sections import all_norms, audited_table, headline, norms_table
from robench_studies.song2021.studies import MNIST, STUDIES
from robench_studies.song2021.tables import noise_control, twelve
from tests.studies.study_toys import put

TWELVE = twelve(MNIST)
PLAIN, FEEDBACK = TWELVE["Orig.", False, 32], TWELVE["F.L.", False, 32]
PLAIN_3, MAPPED_3 = ("F.L.", False, 3), ("F.L.", True, 3)
PGD = Measure("PGD", "pgd")


def test_a_difference_is_paired_and_bounded(tmp_path: Path) -> None:
    put(tmp_path, "a", PLAIN, {("pgd", "white_box", 0.3): 0.1})
    put(tmp_path, "b", FEEDBACK, {("pgd", "white_box", 0.3): 0.4})
    runs = Runs(Records(tmp_path), [PLAIN, FEEDBACK])
    better = Difference((FEEDBACK, PGD), (PLAIN, PGD), least=0.0)(runs)
    assert better.holds
    assert "+30.0" in better.text
    assert Difference((PLAIN, PGD), (FEEDBACK, PGD), least=0.0)(runs).holds is False
    assert Difference((FEEDBACK, PGD), (PLAIN, PGD), most=0.05)(runs).holds is False
    near = Difference((FEEDBACK, PGD), (PLAIN, PGD), least=0.29)(runs)
    assert near.holds is None
    assert near.text.endswith("too few images to tell")
    missing = Difference((FEEDBACK, Measure("BIM", "bim")), (PLAIN, PGD), least=0.0)(runs)
    assert missing.holds is None


def test_a_claim_needs_all_its_checks(tmp_path: Path) -> None:
    put(tmp_path, "a", PLAIN, {("pgd", "white_box", 0.3): 0.1})
    put(tmp_path, "b", FEEDBACK, {("pgd", "white_box", 0.3): 0.4})
    runs = Runs(Records(tmp_path), [PLAIN, FEEDBACK])
    holds = Difference((FEEDBACK, PGD), (PLAIN, PGD), least=0.0)
    fails = Difference((PLAIN, PGD), (FEEDBACK, PGD), least=0.0)
    unknown = Difference((PLAIN, Measure("BIM", "bim")), (FEEDBACK, PGD), least=0.0)
    assert Claim("X", "", [holds]).judge(runs)[0] == "reproduced"
    assert Claim("X", "", [holds, fails, unknown]).judge(runs)[0] == "not reproduced"
    assert Claim("X", "", [holds, unknown]).judge(runs)[0] == "not comparable"


def test_records_are_matched_by_their_options(tmp_path: Path) -> None:
    other = Variant("x", {**PLAIN.chosen, "compressor": ("ptq",)}, {"compressor.ptq.bits": 4})
    put(tmp_path, "a", other, {})
    three = TWELVE["Orig.", False, 3]
    assert list(Runs(Records(tmp_path), [PLAIN, three])) == []


@pytest.mark.parametrize(
    ("option", "value", "counts"),
    [
        ("attack.pgd.steps", 40, True),
        ("attack.pgd.engine", "art", True),
        ("attack.pgd.steps", 1, False),
        ("attack.pgd.eps", [0.001], False),
        ("attack.pgd_margin.temperature", 1e9, False),
        ("attack.fgsm_strong.eps", "weak", False),
        ("attack.mine.steps", 1, True),
        ("threat.eps", 0.001, False),
    ],
)
def test_a_weaker_attack_of_a_columns_name_is_none_of_the_papers(
    option: str, value: object, counts: bool, tmp_path: Path
) -> None:
    attacked = replace(PLAIN, options={**PLAIN.options, option: value})
    put(tmp_path, "a", attacked, {("pgd", "white_box", 0.3): 1.0})
    assert len(list(Runs(Records(tmp_path), [PLAIN]))) == counts


def test_of_several_records_the_last_of_the_commonest_images_counts(tmp_path: Path) -> None:
    put(tmp_path, "old", PLAIN, {}, clean=0.5, finished=1.0)
    put(tmp_path, "new", PLAIN, {}, clean=0.9, finished=2.0)
    put(tmp_path, "fl", FEEDBACK, {})
    put(tmp_path, "others", PLAIN, {}, clean=0.1, finished=3.0, subset="t")
    runs = Runs(Records(tmp_path), [PLAIN, FEEDBACK])
    score = runs.score(PLAIN, Measure("Clean"))
    assert score is not None
    assert score.value == pytest.approx(0.9)


def test_the_paper_has_312_cells_and_none_is_lost() -> None:
    cells = [cell for study in STUDIES.values() for cell in study.cells]
    assert len({(c.table, c.variant.label, c.measure) for c in cells}) == 312
    stated = read_cells("robench_studies.song2021", "tables.csv")
    once = {(c.table, c.variant.label, c.measure): c.value for c in cells}
    assert sorted(once.values()) == sorted(float(row["accuracy_percent"]) / 100 for row in stated)
    table_1 = [c for c in cells if c.table == "1" and c.variant.label == "F.L.+mu (Q)"]
    assert {c.measure.label: c.value for c in table_1}["PGD"] == pytest.approx(0.5524)


@pytest.mark.parametrize(
    ("name", "expected"), [("song2021_mnist", 7.67), ("song2021_cifar10", 27.84)]
)
def test_the_headline_recomputed_from_the_papers_tables(name: str, expected: float) -> None:
    cells = {(c.variant.label, c.measure): c.value for c in STUDIES[name].cells}
    measures = {measure for label, measure in cells if label == "F.L. (Q)"}
    gains = [cells["F.L.+mu (Q)", one] - cells["F.L. (Q)", one] for one in measures]
    assert len(gains) == 13
    assert 100 * np.mean(gains) == pytest.approx(expected, abs=0.01)


def test_headline_naive_and_audited(tmp_path: Path) -> None:
    rows = dict.fromkeys(_every_row(), 0.2)
    mapped = rows | {("pgd", "white_box", 0.3): 0.8}
    put(tmp_path, "a", TWELVE["F.L.", False, 3], rows)
    put(tmp_path, "b", TWELVE["F.L.", True, 3], mapped)
    runs = Runs(Records(tmp_path), list(TWELVE.values()))
    assert "| all 13 | +4.62" in headline(MNIST, runs)  # one column of thirteen gains 60 points
    assert headline(MNIST, runs).splitlines()[-1].endswith("| not run |")

    for name, held in (("a", 20), ("b", 10)):
        _put_audit(tmp_path / name, held)
    runs = Runs(Records(tmp_path), list(TWELVE.values()))
    # Of 50 images 10 fewer hold in each of the 8 adversarial columns at Linf 0.3 (of 13).
    assert "| all 13 | +4.62 [+4.09, +5.14] | -12.31" in headline(MNIST, runs)


@pytest.mark.parametrize("axes", [{}, {"layer": "zz"}, {"layer": 3}])
def test_norms_of_other_layers_end_no_report(axes: dict[str, Any], tmp_path: Path) -> None:
    at = {"step": "mapped -> quantized", "view": "matrix", "p": "2"}
    for number, training in enumerate(("Orig.", "Adv.", "F.L.")):
        strange = Value(metric="weight_perturbation", value=9.0, axes={**at, **axes})
        known = Value(metric="weight_perturbation", value=number, axes=at | {"layer": "fc1"})
        mine = (strange, known) if training == "Adv." else (known,)
        put(tmp_path, training, TWELVE[training, False, 3], {}, values=mine)
    runs = Runs(Records(tmp_path), list(TWELVE.values()))
    seen = largest_norm(MNIST, runs)
    assert seen.text == "||dW||_2 of Adv. is the largest in 0 of 1 layers"
    assert "| Adv. (Q) |" in norms_table(MNIST, runs)


def test_audits_of_other_images_have_no_mean(tmp_path: Path) -> None:
    for name, key, n in (("a", PLAIN_3, 50), ("b", MAPPED_3, 40)):
        put(tmp_path, name, TWELVE[key], dict.fromkeys(_every_row(), 0.2))
        _put_audit(tmp_path / name, 20, n)
    runs = Runs(Records(tmp_path), list(TWELVE.values()))
    assert headline(MNIST, runs).splitlines()[-1].endswith("| not run |")


def _put_audit(folder: Path, held: int, n: int = 50) -> None:
    position = np.arange(n)[::-1]
    table = pd.DataFrame(
        {"position": position, "norm": "linf", "eps": 0.3, "held": position < held}
    )
    table.to_parquet(folder / "audit.parquet")


def test_the_audited_table_stands_beside_the_naive_one(tmp_path: Path) -> None:
    mapped = TWELVE["Orig.", True, 32]
    at = {"norm": "linf", "eps": 0.3}
    values = tuple(
        Value(metric=metric, value=value, low=low, high=high, axes=at | axes)
        for metric, value, low, high, axes in (
            ("robust_accuracy", 0.9, 0.8, 0.95, {"attack": "pgd", "access": "white_box"}),
            ("robust_accuracy", 0.1, 0.05, 0.2, {"attack": "pgd_margin", "access": "white_box"}),
            ("robust_accuracy", 0.95, 0.9, 1.0, {"attack": "pgd", "access": "transfer"}),
            ("audited_accuracy", 0.04, 0.01, 0.1, {}),
            ("gained_by_masking", 0.86, 0.7, 0.9, {"attack": "pgd", "access": "white_box"}),
        )
    )
    found = Finding(check="margin_loss", value=0.5, verdict="fail", sentence="a sentence")
    audit = Audit(norm="linf", eps=0.3, level="quick", n=100, verdict="fail", findings=(found,))
    put(tmp_path, "a", mapped, {}, values=values, audit=(audit,))
    text = audited_table(MNIST, Runs(Records(tmp_path), [mapped]))
    assert text.splitlines()[-1] == (
        "| Orig.+mu | Linf 0.3 | 90.0 (pgd) | 10.0 (pgd_margin) | 4.0 [1.0, 10.0] "
        "| 86.0 [70.0, 90.0] | fail: margin_loss |"
    )
    assert audited_table(MNIST, Runs(Records(tmp_path / "none"), [mapped])) == ""


def _every_row() -> list[tuple[str, str, float]]:
    ball = ("fgsm_weak", "fgsm_medium", "fgsm_strong", "pgd", "pgd_margin", "bim", "mim")
    accesses = ("white_box", "transfer")
    rows = [(attack, access, 0.3) for attack in ball for access in accesses]
    rows += [("cw", access, 1.5) for access in accesses]
    return [*rows, ("normal_noise", "none", 0.3), ("uniform_noise", "none", 0.3)]


def norm(layer: str, value: float, view: str = "matrix") -> Value:
    axes = {"layer": layer, "step": "mapped -> quantized", "view": view, "p": "2"}
    return Value(metric="weight_perturbation", value=value, axes=axes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("adversarial", "holds"), [(3.0, True), (1.5, False)])
def test_whose_norm_is_largest(tmp_path: Path, adversarial: float, holds: bool) -> None:
    for training, value in (("Orig.", 1.0), ("Adv.", adversarial), ("F.L.", 2.0)):
        values = (norm("1", value), norm("2", value))
        put(tmp_path, training, TWELVE[training, False, 3], {}, values=values)
    runs = Runs(Records(tmp_path), list(TWELVE.values()))
    assert largest_norm(MNIST, runs).holds is holds
    assert "| Orig. (Q) | 1.000 | 1.000 |" in norms_table(MNIST, runs)


@pytest.mark.parametrize(("last", "layers"), [(2, "b | c"), (None, "a | b | c")])
def test_the_norms_of_the_last_layers(tmp_path: Path, last: int | None, layers: str) -> None:
    quantised = TWELVE["Orig.", False, 3]
    flat = [norm(layer, 1.0) for layer in "abc"]
    convolutions = [norm(layer, 2.0, "circular convolution") for layer in "ab"]
    put(tmp_path, "a", quantised, {}, values=flat + convolutions)
    text = all_norms([quantised], last, Runs(Records(tmp_path), [quantised]))
    assert f"| model | {layers} |" in text
    assert f"| model | {layers.removesuffix(' | c')} |" in text


def test_a_report_of_nothing_says_so(tmp_path: Path) -> None:
    study = find("song2021_mnist")
    text = report(study, Runs(Records(tmp_path), study.variants))
    assert "Not run: Orig., Orig. (Q), Adv." in text
    assert text.count("not comparable") == len(study.claims)


def test_the_command_prints_ours_beside_the_papers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path, "a", PLAIN, {("pgd", "white_box", 0.3): 0.1}, clean=0.99)
    assert main(["study", "song2021_mnist", "--records", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "99.0 [96.4, 99.7] / 99.2 / \N{MINUS SIGN}0.2" in shown
    assert "10.0 [6.6, 14.9] / 4.4 / +5.6" in shown


@pytest.mark.parametrize("name", ["nosuch", "a_file"])
def test_records_that_are_nowhere_are_bad_input(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a_file").write_text("no folder")
    assert main(["study", "song2021_mnist", "--records", str(tmp_path / name)]) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert "expected --records to name a folder" in shown.err


def test_an_unknown_study() -> None:
    with pytest.raises(ConfigError, match="song2021_mnist"):
        find("song2020")


def test_the_record_with_most_of_the_columns_counts(tmp_path: Path) -> None:
    put(tmp_path, "whole", PLAIN, {("pgd", "white_box", 0.3): 0.1}, clean=0.9, finished=1.0)
    put(tmp_path, "later", PLAIN, {}, clean=0.5, finished=2.0)
    run = Runs(Records(tmp_path), [PLAIN], [Measure("Clean"), PGD]).get(PLAIN)
    assert run is not None
    assert run.record.id == "whole"


def test_the_control_is_a_system_of_its_own(tmp_path: Path) -> None:
    put(tmp_path, "a", noise_control(MNIST), {})
    runs = Runs(Records(tmp_path), find("song2021_mnist").variants)
    assert [run.record.id for run in runs] == ["a"]
    assert runs.get(FEEDBACK) is None


def test_every_claim_of_the_paper_stands_in_the_study_of_mnist() -> None:
    names = {claim.name for claim in find("song2021_mnist").claims}
    assert {f"S{number}" for number in range(1, 9)} <= names


def test_a_claim_about_other_data_is_not_comparable_and_says_why(tmp_path: Path) -> None:
    put(tmp_path, "a", PLAIN, {})
    study = find("song2021_mnist")
    text = report(study, Runs(Records(tmp_path), study.variants))
    assert "**S6: not comparable.**" in text
    assert "Reason: the paper claims it of CIFAR-10" in text
