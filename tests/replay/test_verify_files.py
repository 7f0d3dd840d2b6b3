"""`robench verify` on shipped files: a black box, a surrogate, and rows of the float parent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from robench.core.record import Record
from robench.leaderboard.read.traits import weight_bits
from robench.plugin.registry import registry
from robench.records.trust import Step
from robench.replay.verify import Verification, verify
from robench.run.config import Places
from robench.run.evaluate import evaluate

FIXTURES = Path(__file__).parents[1] / "fixtures" / "files"
QUICK: dict[str, dict[str, Any]] = {"pgd": {"steps": 2, "eps": 0.05}, "square": {"queries": 10}}

pytest.importorskip("onnxruntime")


def black_box(path: Path) -> Path:
    """The fixture with an operator at its end that robench does not know."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(FIXTURES / "digits.qdq.onnx")
    graph = model.graph
    out = graph.output[0].name
    for node in graph.node:
        node.output[:] = ["inner" if name == out else name for name in node.output]
    graph.node.append(onnx.helper.make_node("Celu", ["inner"], [out]))
    onnx.save(model, path)
    return path


def made(places: Places, path: Path, *attacks: str, parent: bool = False) -> Record:
    options = {"path": str(path)} | ({"parent": str(FIXTURES / "digits.onnx")} if parent else {})
    return evaluate(
        registry().get("model", "file").make(**options),
        "digits",
        attack={name: registry().get("attack", name).make(**QUICK[name]) for name in attacks},
        audit="off",
        images=80,
        places=places,
    )


def verified(places: Places, record: Record) -> tuple[Verification, dict[str, Step]]:
    found = verify(places.results / record.id, places, seed=1)
    return found, {step.name: step for step in found.steps}


def test_a_black_box_is_verified_and_what_cannot_be_is_said(places: Places, tmp_path: Path) -> None:
    record = made(places, black_box(tmp_path / "net.onnx"), "square")
    found, steps = verified(places, record)
    assert found.level == "verified"
    assert steps["crafted again"].outcome == "pass"
    for name in ("audits", "searched again"):
        assert steps[name].outcome == "not done"
        assert "a black box has no gradient to audit" in steps[name].text


def test_a_surrogates_rows_are_crafted_again_on_it(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("robench.core.record.AGREEMENT_EXPECTED", 1.1)
    record = made(places, FIXTURES / "digits.qdq.onnx", "pgd")
    assert [row.access for row in record.rows] == ["transfer"]
    found, steps = verified(places, record)
    assert found.level == "verified"
    assert "pgd (transfer, linf 0.05)" in steps["crafted again"].text
    monkeypatch.setattr("robench.core.record.AGREEMENT_EXPECTED", 0.99)
    found, _ = verified(places, record)
    assert found.refuted


def test_a_file_says_the_bits_of_its_weights(places: Places, tmp_path: Path) -> None:
    record = made(places, FIXTURES / "digits.qdq.onnx", "square")
    assert (weight_bits(record), weight_bits(made(places, black_box(tmp_path / "n.onnx")))) == (
        8,
        32,
    )
    path = places.results / record.id / "record.json"
    said = json.loads(path.read_text())
    said["bits"] = said["file"]["bits"] = 2
    path.write_text(json.dumps(said))
    found, steps = verified(places, record)
    assert found.refuted
    assert steps["model"].text == "its weights need 8 bits, 2 are recorded"


def test_rows_of_the_parent_are_judged_and_not_crafted_again(places: Places) -> None:
    record = made(places, FIXTURES / "digits.qdq.onnx", "pgd", parent=True)
    assert [row.access for row in record.rows] == ["white_box", "parent"]
    found, steps = verified(places, record)
    assert found.level == "consistent"
    assert steps["examples"].outcome == "pass"
    assert steps["crafted again"].outcome == "not done"
    assert "made on the file's float parent, which is not kept" in steps["crafted again"].text


def forged(places: Places, record: Record, **changes: Any) -> Verification:
    """What is found of the record, written as if its file or its twin were other ones."""
    path = places.results / record.id / "record.json"
    text = path.read_text(encoding="utf-8")
    said = json.loads(text)
    for group, values in changes.items():
        said[group] |= values
    path.write_text(json.dumps(said), encoding="utf-8")
    try:
        return verify(path.parent, places, seed=1)
    finally:
        path.write_text(text, encoding="utf-8")


def test_what_a_record_says_of_its_file_is_held_against_it(places: Places) -> None:
    record = made(places, FIXTURES / "digits.qdq.onnx", "pgd")
    refuted: list[dict[str, Any]] = [
        {"file": {"bytes": 1000}},
        {"file": {"sha256": "0" * 64}},
        {"agreement": {"adversarial": 0.95}},
        {"agreement": {"explained": 0.92}},
        {"agreement": {"logit_gap": 0.5}},
    ]
    for changes in refuted:
        assert forged(places, record, **changes).refuted, changes
    other = forged(places, record, file={"version": "1.0.0", "instructions": "armv8"})
    (step,) = (step for step in other.steps if step.name == "model")
    assert step.outcome == "pass"
    assert "onnxruntime 1.0.0 is recorded" in step.text
    assert "armv8 is recorded" in step.text
