"""Reasons: the committed ones still say what the records say, and none is shown that does not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from robench.base.errors import UserError
from robench.core.record import Value
from robench.studies.catalogue import studies
from robench.studies.claims import Claim, Difference
from robench.studies.measures import Measure
from robench.studies.reasons import Fact, Reason, read_reasons
from robench.studies.report import report
from robench.studies.run import Records
from robench.studies.runs import Runs, Variant
from robench.studies.study import Study
from robench_studies import REASONS
from tests.published import copy_of
from tests.studies.study_toys import put

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ROOT / "leaderboard" / "records"
COMMITTED = [
    (file.stem, claim)
    for file in sorted(REASONS.glob("*.yaml"))
    for claim in yaml.safe_load(file.read_text(encoding="utf-8"))
]


@pytest.fixture(scope="module")
def published() -> Records:
    return Records(PUBLISHED)


@pytest.mark.parametrize(("study", "claim"), COMMITTED)
def test_the_cited_records_still_say_so(study: str, claim: str, published: Records) -> None:
    reason = read_reasons(REASONS, study)[claim]
    assert [fault for fact in reason.read_from if (fault := fact.fault(published))] == []
    assert claim in {known.name for known in studies()[study].claims}


def test_there_are_reasons_and_most_are_read_from_records() -> None:
    reasons = [read_reasons(REASONS, study)[claim] for study, claim in COMMITTED]
    assert len(reasons) == 25
    assert sum(bool(reason.read_from) for reason in reasons) == 20


def test_a_changed_record_is_told(tmp_path: Path) -> None:
    reason = read_reasons(REASONS, "song2021_bits")["bits, attacked"]
    for fact in reason.read_from:
        for id in (fact.record, fact.less):
            copy_of(PUBLISHED / id, tmp_path / id)
    assert reason.fault(Records(tmp_path)) == ""
    changed = tmp_path / reason.read_from[0].record / "record.json"
    record = json.loads(changed.read_text())
    for value in record["values"]:
        if value["metric"] == "attacked_accuracy" and value["axes"]["attack"] == "pgd":
            value["value"] -= 0.01
    changed.write_text(json.dumps(record))
    fault = reason.fault(Records(tmp_path))
    assert "say 10.4 for attacked_accuracy" in fault
    assert fault.endswith("where it states 11")
    shutil.rmtree(changed.parent)
    assert reason.fault(Records(tmp_path)) == f"record {changed.parent.name} is not here"


ONE = Variant("one", {"dataset": ("mnist",)})
VALUES = (
    Value(metric="share", value=0.125, n=40, unit="share"),
    Value(metric="norm", value=2.874, axes={"layer": "conv2"}),
    Value(metric="norm", value=1.437, axes={"layer": "fc1"}),
)


@pytest.mark.parametrize(
    ("says", "fact", "fault"),
    [
        ("12.5", {"metric": "share"}, ""),
        ("13", {"metric": "share"}, ""),
        ("12.4", {"metric": "share"}, "record a says 12.5 for share where it states 12.4"),
        (".13", {"metric": "share"}, ""),
        (".12", {"metric": "share"}, ""),  # 0.125 rounds to either
        (".11", {"metric": "share"}, "record a says 0.125 for share where it states .11"),
        ("40", {"metric": "share", "part": "n"}, ""),
        ("2.87", {"metric": "norm", "axes": {"layer": "conv2"}}, ""),
        ("2.9", {"metric": "norm"}, "record a has 2 numbers of norm, not one"),
        ("1.4 to 3", {"metric": "norm", "axes": {"layer": "fc1"}}, ""),
        ("1.5 to 3", {"metric": "norm", "axes": {"layer": "fc1"}}, "record a says 1.437"),
        ("at most 2", {"metric": "norm", "axes": {"layer": "fc1"}}, ""),
        ("at most 2", {"metric": "norm", "axes": {"layer": "conv2"}}, "record a says 2.874"),
        ("200", {"field": "data.images"}, ""),
        ("200", {"field": "data.image"}, "record a has 0 numbers of data.image, not one"),
        ("0", {"metric": "share", "less": "a"}, ""),
        ("1.0", {"metric": "share", "over": "a"}, ""),
        ("1", {"metric": "share", "over": "b"}, "record b is not here"),
    ],
)
def test_what_a_fact_says(says: str, fact: dict[str, object], fault: str, tmp_path: Path) -> None:
    put(tmp_path, "a", ONE, {}, values=VALUES)
    told = Fact.model_validate({"record": "a", "says": says, **fact}).fault(Records(tmp_path))
    assert told.startswith(fault) if fault else told == ""


def test_records_of_one_name_must_agree_on_what_is_read(tmp_path: Path) -> None:
    for at, number in (("x", 1.0), ("y", 2.0)):
        (tmp_path / at).mkdir()
        values = (Value(metric="norm", value=number), Value(metric="alike", value=3.0))
        put(tmp_path / at, "a", ONE, {}, values=values)
    for order in ("xy", "yx"):
        records = Records([tmp_path / at / "a" for at in order], keep=False)
        assert Fact(record="a", metric="alike", says="3").fault(records) == ""
        fault = Fact(record="a", metric="norm", says="1").fault(records)
        assert fault == "several records a say different numbers of norm"
        assert not any("record" in vars(run) for run in records)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("PGD leaves 3.", "got 3"),
        ("PGD leaves -5.2 of 1,000", "got -5.2"),
        ("of CIFAR-10 at 8/255, conv2 and ||W||_2 in float32, L2, S3", ""),
        ("conv2 alone (2.87)", "got 2.87"),
        (".57 at sigma", "got .57"),
    ],
)
def test_every_number_of_the_words_has_a_source(words: str, error: str) -> None:
    if not error:
        assert Reason(words=words).words == words
        return
    with pytest.raises(ValueError, match=f"expected every number .* {error}"):
        Reason(words=words)
    numbers = [number for number in ("3", "-5.2", "1,000", "2.87", ".57") if number in words]
    assert Reason(words=words, unbacked=tuple(numbers)).unbacked
    with pytest.raises(ValueError, match="expected only numbers of the words, got 99"):
        Reason(words=words, given=("99", *numbers))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("C: [", "expected YAML in"),
        ("[" * 5000, "expected YAML in"),
        ("!!python/object:os.system {}", "expected YAML in"),
        ("C: {words: 1}", "got C.words: Input should be a valid string"),
        ("C: {word: a}", "got C.words: Field required"),
        ("C: {words: a, why: b}", "got C.why"),
        ("- a", "got the file: Input should be a valid dictionary"),
        ("C: {words: '2', read from: [{record: a, says: '2'}]}", "either a metric or a field"),
        ("C: {words: x, read from: [{record: a, field: b, says: x}]}", "expected a number"),
        ("#" * 300_000, "expected at most 262144 bytes"),
    ],
)
def test_a_bad_file_ends_with_one_line(text: str, error: str, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(UserError) as caught:
        read_reasons(tmp_path, "s")
    assert error in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_file_no_reasons(tmp_path: Path) -> None:
    assert read_reasons(tmp_path, "s") == {}
    assert read_reasons(None, "s") == {}


def study(reasons: Path) -> Study:
    clean = Measure("clean")
    never = Difference((ONE, clean), (ONE, clean), least=0.5)
    return Study(
        "s", "t", "p", [ONE], {"T": [clean]}, [], [Claim("C", "w", [never])], {}, reasons=reasons
    )


def test_a_reason_stands_only_beside_its_records(tmp_path: Path) -> None:
    reasons, records = tmp_path / "reasons", tmp_path / "records"
    reasons.mkdir()
    records.mkdir()
    text = "C: {words: it is 12.5, read from: [{record: other, metric: share, says: '12.5'}]}"
    (reasons / "s.yaml").write_text(text)
    put(records, "a", ONE, {})
    shown = report(study(reasons), Runs(Records(records), [ONE]))
    assert "Reason not shown: record other is not here." in shown
    assert "12.5" not in shown
    put(records, "other", Variant("other", {"dataset": ("digits",)}), {}, values=VALUES)
    shown = report(study(reasons), Runs(Records(records), [ONE]))
    assert "Reason: it is 12.5" in shown


def test_a_wheel_without_the_records_says_so(tmp_path: Path) -> None:
    put(tmp_path, "a", ONE, {})
    shown = report(study(tmp_path / "none"), Runs(Records(tmp_path), [ONE]))
    assert "Reasons are not installed here" in shown
    assert "Reasons are not installed here" not in report(
        study(tmp_path), Runs(Records(tmp_path), [ONE])
    )


@pytest.mark.parametrize(
    "file", sorted((ROOT / "leaderboard/studies").glob("*.md")), ids=lambda f: f.stem
)
def test_the_committed_reports_are_what_the_records_say(file: Path, published: Records) -> None:
    chosen = studies()[file.stem]
    text = report(chosen, Runs(published, chosen.variants, chosen.measures))
    assert text + "\n" == file.read_text(encoding="utf-8")
