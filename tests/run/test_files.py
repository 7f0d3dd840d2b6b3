"""Runs of a shipped file: three twins, the agreement gate, black boxes, ties, the float parent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from robench.base.errors import ConfigError, UserError
from robench.core.record import Record
from robench.core.threat import ThreatConfig
from robench.leaderboard.read.private import check_private
from robench.plugin.registry import registry
from robench.records.consistent import inspect
from robench.records.headline import audit_table, headline
from robench.records.said import file_lines, warnings
from robench.records.store import read, read_outcomes
from robench.records.support.files import telling
from robench.records.words import Said, word_of
from robench.run.config import Places
from robench.run.evaluate import evaluate
from robench.testing.tiny import tiny_data
from tests.run.files import ToyFile


def judged(places: Places, model: ToyFile, *attacks: str, audit: str = "quick") -> Record:
    made = {name: registry().get("attack", name).make(**QUICK.get(name, {})) for name in attacks}
    record = evaluate(
        model,
        tiny_data(),
        attack=made,
        audit=audit,
        threat=ThreatConfig(norm="linf", eps=0.12),
        places=places,
    )
    assert read(places.results / record.id) == record
    assert inspect(places.results / record.id).unfounded == ()
    return record


QUICK: dict[str, dict[str, Any]] = {"pgd": {"steps": 5}, "square": {"queries": 20}}


def word(places: Places, record: Record) -> Said:
    folder = places.results / record.id
    outcomes = read_outcomes(folder)
    holds = headline(record, outcomes, audit_table(folder), "linf", 0.12)
    return word_of(record, outcomes.clean.label, "linf", 0.12, holds)


def robust(record: Record, access: str = "white_box") -> float:
    value = record.find("robust_accuracy", attack="pgd", access=access)
    assert value is not None
    assert value.value is not None
    return value.value


def test_a_clipped_output_is_searched_past_and_named(places: Places) -> None:
    clipped = judged(places, ToyFile(ceiling=2.0, steps=4.0, parent=True), "pgd")
    honest = judged(places, ToyFile(parent=True), "pgd")
    gap = clipped.find("twins_gap", attack="pgd")
    assert gap is not None
    assert gap.low is not None
    assert gap.low > 0.05
    assert abs(robust(clipped) - robust(honest)) < 0.1
    assert clipped.audit[0].verdict == "fail"
    assert (honest.find("twins_gap").low or 0.0) < 0  # type: ignore[union-attr]
    assert honest.audit[0].verdict == "pass"
    assert not warnings(honest)
    assert list(file_lines(honest))


def test_a_surrogates_rows_transfer(places: Places) -> None:
    record = judged(places, ToyFile(twin="surrogate"), "pgd", "square", audit="off")
    assert [row.access for row in record.rows] == ["transfer", "white_box"]
    assert word(places, record).word == "upper_bound"
    assert "surrogate" in warnings(record)[0]


def test_a_black_box_is_asked_and_not_led(places: Places) -> None:
    with pytest.raises(ConfigError, match="attack=square"):
        judged(places, ToyFile(twin="none"), "pgd")
    record = judged(places, ToyFile(twin="none"), "square")
    assert record.audit == ()
    assert word(places, record).sentence.startswith("not measurable: the file is a black box")


def test_examples_of_the_float_parent_are_rows_of_their_own(places: Places) -> None:
    record = judged(places, ToyFile(twin="none", parent=True), "pgd", audit="off")
    assert [row.access for row in record.rows] == ["parent"]
    record = judged(places, ToyFile(parent=True), "pgd", "square", audit="off")
    assert [row.access for row in record.rows] == ["white_box", "parent", "white_box"]
    clean, attacked = (v for v in record.values if v.metric == "parent_difference")
    assert clean.value == 0
    assert attacked.axes["access"] == "white_box"


def test_ties_are_read_both_ways(places: Places) -> None:
    record = judged(places, ToyFile(ceiling=2.0, steps=1.0), "pgd", audit="off")
    rate = record.find("tie_rate", attack="pgd")
    right = record.find("accuracy_ties_right", attack="pgd")
    wrong = record.find("accuracy_ties_wrong", attack="pgd")
    assert rate
    assert right
    assert wrong
    assert (rate.value or 0.0) > 0
    assert (wrong.value or 0.0) <= robust(record) < (right.value or 0.0)


def test_ties_that_decide_nothing_are_kept_and_not_shown(places: Places) -> None:
    record = judged(places, ToyFile(), "pgd", audit="off")
    assert record.find("tie_rate", attack="pgd")
    assert [value.axes for value in telling(record.values) if value.metric == "tie_rate"] == [{}]
    decided = judged(places, ToyFile(ceiling=2.0, steps=1.0), "pgd", audit="off")
    assert telling(decided.values) == list(decided.values)


def test_an_older_name_of_a_value_is_read(places: Places) -> None:
    record = judged(places, ToyFile(), "pgd", audit="off")
    path = places.results / record.id / "record.json"
    path.write_text(path.read_text().replace("twins_gap", "saturation_gap"), encoding="utf-8")
    assert read(path.parent) == record
    assert inspect(path.parent).unfounded == ()


def change(folder: Path, metric: str, **update: Any) -> None:
    path = folder / "record.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    next(v for v in record["values"] if v["metric"] == metric and v["axes"]).update(update)
    path.write_text(json.dumps(record), encoding="utf-8")


@pytest.mark.parametrize(
    ("metric", "update"),
    [
        ("twins_gap", {"low": 0.0}),
        ("parent_difference", {"value": 0.5}),
        ("accuracy_ties_wrong", {"value": 0.99}),
    ],
)
def test_what_a_record_says_of_its_file_follows(
    places: Places, metric: str, update: dict[str, Any]
) -> None:
    model = ToyFile(ceiling=2.0, steps=1.0, parent=True)
    record = judged(places, model, "pgd", audit="off")
    change(places.results / record.id, metric, **update)
    with pytest.raises(UserError, match="expected"):
        inspect(places.results / record.id)


def test_a_files_own_folder_is_named_as_what_a_page_refuses(places: Places) -> None:
    record = judged(places, ToyFile(), "pgd", audit="off")
    config = {**record.config, "model": {"file": {"path": "/home/somebody/net.onnx"}}}
    told = record.model_copy(update={"config": config})
    with pytest.raises(UserError, match=r"config\.model\.file\.path.*name the file without it"):
        check_private(told, ())
