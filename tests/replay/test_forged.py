"""A forger's records, all of whose numbers agree: each is found, with the sentence that says how.

`inspect` is taken to find nothing, so that what finds a forgery is the model alone.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from robench.base.hashing import file_hash
from robench.core.outcomes import RowOutcomes
from robench.core.threat import Threat
from robench.plugin.registry import registry
from robench.plugin.scenario import Scenario
from robench.records.consistent import Inspected
from robench.records.store import EXAMPLES, PROGRAM, WEIGHTS, read, read_outcomes
from robench.records.tables import read_columns, write_columns
from robench.records.trust import STEPS
from robench.replay import certificates, crafted, steps
from robench.replay import verify as module
from robench.replay.steps import Refuted
from robench.replay.verify import Verification, verify
from robench.run import attacks
from robench.run.config import Places
from robench.training.loop import Trainer
from tests.records.test_examples import HOSTILE
from tests.replay import forger

Copy = Callable[[Path], Path]


@pytest.fixture(autouse=True)
def _numbers_agree(
    monkeypatch: pytest.MonkeyPatch,
    program_record: Path,
    other_record: Path,
    float_record: Path,
    certified_record: Path,
    unaudited_record: Path,
    small_record: Path,
) -> None:
    """The records are there; from now on nothing may be trained."""

    def read_alone(folder: Path) -> Inspected:
        return Inspected(read(folder), read_outcomes(folder), ())

    def refuse(*_: object) -> None:
        raise AssertionError("a network is trained")

    monkeypatch.setattr(module, "inspect", read_alone)
    monkeypatch.setattr(Trainer, "fit", refuse)


def outcome(verification: Verification, name: str) -> tuple[str, str]:
    step = next(step for step in verification.steps if step.name == name)
    return step.outcome, step.text


def verified_by(folder: Path, places: Places, step: str) -> Verification:
    """A verification whose only step on the model is the named one."""
    works = module._works

    def only(*given: Any) -> Iterator[Any]:
        return (work for work in works(*given) if work[0] == step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_works", only)
        return verify(folder, places, seed=3)


def require_found(folder: Path, places: Places, step: str, sentence: str) -> None:
    verification = verified_by(folder, places, step)
    found, text = outcome(verification, step)
    assert found == "fail", verification.steps
    assert re.search(sentence, text), text
    assert verification.level == "reported"


@pytest.fixture
def forged(program_record: Path, copied: Copy) -> Path:
    return copied(program_record)


@pytest.mark.parametrize("kind", ["program_record", "float_record"])
def test_an_honest_record_is_verified(
    kind: str, request: pytest.FixtureRequest, places: Places, copied: Copy
) -> None:
    folder = copied(request.getfixturevalue(kind))
    forger.seal(folder)
    for seed in range(2):
        verification = verify(folder, places, seed=seed)
        assert not verification.refuted, verification.steps
        assert verification.level == "verified", verification.steps
    assert tuple(step.name for step in verification.steps) == STEPS


def test_examples_that_are_the_clean_images(forged: Path, places: Places) -> None:
    forger.with_examples(forged, places, lambda _, clean: clean)
    require_found(forged, places, "crafted again", "its own attack is stronger than its row")


def test_an_attack_that_was_not_run(forged: Path, places: Places) -> None:
    def random(_: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        noise = 0.2 * (2 * torch.rand(clean.shape, generator=torch.Generator().manual_seed(0)) - 1)
        return Threat("linf", 0.2).project(clean + noise, clean)

    forger.with_examples(forged, places, random)
    require_found(forged, places, "crafted again", "its own attack is stronger than its row")


def test_weak_examples_under_a_strong_model(forged: Path, places: Places) -> None:
    def weak(found: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        return Threat("linf", 0.2).project(clean + (found - clean) / 4, clean)

    forger.with_examples(forged, places, weak)
    require_found(forged, places, "crafted again", "its own attack is stronger than its row")


@pytest.mark.parametrize("kind", ["an open bracket", "minus", "encrypted", "a shape of truth"])
def test_examples_that_no_reader_expects(kind: str, forged: Path, places: Places) -> None:
    """They come from the record, so they fail it; they are not left undone."""
    (forged / EXAMPLES).write_bytes(HOSTILE[kind]())
    forger.seal(forged)
    require_found(forged, places, "examples", "expected .* in ")


def test_rows_that_say_they_broke_nothing(forged: Path, places: Places) -> None:
    """They keep no example, so that nothing but their own attack refutes them."""
    forger.edit_rows(forged, lambda row: replace(row, prediction=row.clean_prediction))
    none = np.zeros((0, 1, 8, 8), np.uint8)
    forger.edit_examples(forged, row0=none, row1=none)
    forger.seal(forged)
    verification = verify(forged, places, seed=3)
    assert outcome(verification, "examples")[0] == "pass"
    assert outcome(verification, "crafted again")[0] == "fail"


def test_an_example_that_is_not_kept(forged: Path, places: Places) -> None:
    with np.load(forged / EXAMPLES) as arrays:
        forger.edit_examples(forged, row0=arrays["row0"][1:])
    forger.seal(forged)
    require_found(forged, places, "examples", "expected row0 of shape")


def test_an_invented_audit(forged: Path, places: Places) -> None:
    forger.invent_audit(forged, places)
    require_found(forged, places, "searched again", "a search breaks .* says no search and no row")


def test_an_audit_of_another_record(forged: Path, other_record: Path, places: Places) -> None:
    shutil.copyfile(other_record / "audit.parquet", forged / "audit.parquet")
    with np.load(other_record / EXAMPLES) as other:
        forger.edit_examples(forged, audit0=other["audit0"])
    forger.seal(forged)
    require_found(forged, places, "audits", "not those that the configuration chooses")


def test_an_audit_that_says_more_holds(forged: Path, places: Places) -> None:
    held = read_columns(forged / "audit.parquet")["clean"]
    forger.edit_table(forged / "audit.parquet", held=held, rows=held)
    forger.seal(forged)
    require_found(
        forged,
        places,
        "audits",
        "its examples break .* images that it says hold|expected audit0 of shape",
    )


def test_an_audit_without_its_table_is_not_done(forged: Path, places: Places) -> None:
    (forged / "audit.parquet").unlink()
    forger.edit_record(forged, lambda text: text["files"].pop("audit.parquet"))
    verification = verify(forged, places, seed=3)
    assert outcome(verification, "audits")[0] == "not done"
    assert outcome(verification, "searched again")[0] == "not done"
    assert verification.level == "consistent"


def test_another_program(forged: Path, other_record: Path, places: Places) -> None:
    shutil.copyfile(other_record / PROGRAM, forged / PROGRAM)
    require_found(forged, places, "model", "not the file whose digest is recorded")
    forger.seal(forged)
    require_found(forged, places, "model", "clean images: .* labels are not the model's")

    found = forger.subject(forged, places)
    labels = found.labels(found.test.float_images(), "clean").astype(np.int16)
    as_clean = {"clean_prediction": labels, "prediction": labels}

    def relabelled(row: RowOutcomes) -> RowOutcomes:
        clean = row.attack == "clean"
        return replace(row, **(as_clean if clean else {"clean_prediction": labels}))

    forger.edit_rows(forged, relabelled)
    forger.seal(forged)
    require_found(forged, places, "examples", "labels are not the model's|expected row0 of shape")


def test_other_weights(float_record: Path, copied: Copy, places: Places) -> None:
    from safetensors.torch import load_file, save_file

    folder = copied(float_record)
    tensors = load_file(folder / WEIGHTS)
    save_file({name: t.flip(0) for name, t in tensors.items()}, folder / WEIGHTS)
    forger.seal(folder)
    require_found(folder, places, "model", "labels are not the model's")


def test_damaged_weights(float_record: Path, copied: Copy, places: Places) -> None:
    folder = copied(float_record)
    (folder / WEIGHTS).write_bytes(bytes(100))
    forger.seal(folder)
    require_found(folder, places, "model", "expected safetensors")


def test_no_model_leaves_what_the_files_prove(
    float_record: Path, copied: Copy, places: Places
) -> None:
    folder = copied(float_record)
    (folder / WEIGHTS).unlink()
    verification = verify(folder, places)
    assert outcome(verification, "model") == ("not done", "the record keeps no model")
    assert {step.outcome for step in verification.steps[1:]} == {"not done"}
    assert verification.level == "consistent"


def test_labels_turned_right(forged: Path, places: Places) -> None:
    forger.edit_rows(forged, lambda row: replace(row, prediction=row.clean_prediction))
    forger.seal(forged)
    require_found(forged, places, "examples", "labels are not the model's|expected row0 of shape")


def test_clean_labels_turned_right(forged: Path, places: Places) -> None:
    forger.edit_rows(forged, lambda row: replace(row, clean_prediction=row.label))
    forger.seal(forged)
    require_found(forged, places, "model", "clean images: .* labels are not the model's")


def test_true_labels_of_another_data_set(forged: Path, places: Places) -> None:
    forger.edit_rows(forged, lambda row: replace(row, label=row.prediction))
    forger.seal(forged)
    require_found(forged, places, "model", "the true labels are not the data set's")


def test_chosen_images(forged: Path, places: Places) -> None:
    forger.edit_rows(forged, lambda row: replace(row, image=row.image[::-1]))
    require_found(forged, places, "model", "not those that the configuration chooses")


def test_a_row_left_out(forged: Path, places: Places) -> None:
    with np.load(forged / EXAMPLES) as arrays:
        forger.edit_examples(forged, row0=arrays["row0"])
    forger.edit_rows(forged, lambda row: None if row.attack == "pgd" else row)
    forger.edit_record(forged, lambda text: text["rows"].pop())
    forger.seal(forged)
    require_found(forged, places, "rows", "asks for fgsm, pgd, the rows are of fgsm")


def test_a_larger_eps_than_the_attack_had(forged: Path, places: Places) -> None:
    def larger(text: dict) -> None:
        for row in text["rows"]:
            row["eps"] = 0.3

    forger.edit_record(forged, larger)
    forger.edit_rows(forged, lambda row: row if row.eps is None else replace(row, eps=0.3))
    forger.seal(forged)
    require_found(forged, places, "rows", "asks for .*: fgsm")


def test_a_ball_called_noise(forged: Path, places: Places) -> None:
    forger.edit_rows(forged, lambda row: row if row.eps is None else replace(row, search="noise"))
    require_found(forged, places, "rows", "no search of the kind that its attack makes")


def test_images_one_step_outside_the_ball(forged: Path, places: Places) -> None:
    def outside(found: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        moved = found.clone()
        moved[7, 0, 0, 0] = (clean[7, 0, 0, 0] * 255 + 52) / 255
        return moved

    forger.with_examples(forged, places, outside)
    require_found(forged, places, "examples", "1 examples lie outside the threat, position 7")


def test_distances_that_are_not_the_examples(forged: Path, places: Places) -> None:
    forger.edit_rows(forged, lambda row: replace(row, l2=row.l2 / 2))
    require_found(forged, places, "examples", "distances are not those of the examples")


def test_larger_radii(certified_record: Path, copied: Copy, places: Places) -> None:
    folder = copied(certified_record)
    forger.seal(folder)
    assert verify(folder, places, seed=3).level == "verified"
    table = read_columns(folder / "certificates.parquet")
    forger.edit_table(folder / "certificates.parquet", radius2=table["radius2"] + 1)
    forger.seal(folder)
    require_found(folder, places, "certificates", "has label and squared radius .* certified again")


def test_radii_that_fresh_votes_forbid(
    certified_record: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "VOTES", 500)
    known = forger.subject(certified_record, places)
    table = read_columns(certified_record / "certificates.parquet")
    certificates._votes_allow(known, table)
    claimed = table["radius2"] > 0
    assert claimed.sum() >= 6
    raised = np.where(claimed, 9 * table["radius2"], table["radius2"])
    with pytest.raises(Refuted, match="fresh votes forbid the radii of"):
        certificates._votes_allow(known, {**table, "radius2": raised})


def test_chosen_noise(certified_record: Path, copied: Copy, places: Places) -> None:
    folder = copied(certified_record)
    table = read_columns(folder / "certificates.parquet")
    forger.edit_table(folder / "certificates.parquet", seed=table["seed"] + 1)
    forger.seal(folder)
    require_found(folder, places, "certificates", "not that of the run's seed")


def test_draws_of_an_older_certifier_are_not_called_a_lie(
    certified_record: Path, copied: Copy, places: Places
) -> None:
    """They prove nothing either: what cannot be repeated is no more than consistent."""
    folder = copied(certified_record)

    def older(record: dict[str, Any]) -> None:
        (name,) = record["config"]["certifier"]
        record["provenance"]["components"][f"certifier.{name}"] = "robench 0.1.0 / 0"

    forger.edit_record(folder, older)
    forger.seal(folder)
    verification = verified_by(folder, places, "certificates")
    found, text = outcome(verification, "certificates")
    assert (found, verification.level) == ("not done", "consistent")
    assert "version 0 of certifier.sequential" in text


def test_a_challenge_that_breaks_nothing(forged: Path, places: Places) -> None:
    shape = forger.subject(forged, places).test.images.shape[1:]
    work = forged / "work.npz"
    np.savez_compressed(work, images=np.zeros((2, *shape), np.uint8))
    digest = file_hash(work)
    work.rename(forged / f"challenge-{digest[:16]}.npz")
    about = {"norm": "linf", "eps": 0.2, "source": "me", "date": "2026-01-01"}
    text = json.dumps({**about, "broken": [0, 1], "examples": digest})
    (forged / f"challenge-{digest[:16]}.json").write_text(text)
    require_found(forged, places, "challenges", "the challenge of me does not break")


def test_files_outside_the_data_root_are_not_opened(
    forged: Path, places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(text: dict) -> None:
        text["config"]["dataset"] = {"npz": {"path": str(tmp_path / "x.npz"), "layout": "auto"}}

    forger.edit_record(forged, elsewhere)
    verification = verify(forged, places)
    found, text = outcome(verification, "model")
    assert found == "not done"
    assert "outside the data root" in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gradients", 2.0),
        pytest.param("queries", 3.0, marks=pytest.mark.slow),
        pytest.param("gradients", 400.0, marks=pytest.mark.slow),
    ],
)
def test_costs_that_the_attack_has_not(
    unaudited_record: Path, copied: Copy, places: Places, name: str, value: float
) -> None:
    forged = copied(unaudited_record)
    forger.edit_record(forged, lambda record: record["rows"][1].update({name: value}))
    forger.seal(forged)
    sentence = rf"pgd .* cost {value:.1f} {name} an image by the record, and crafted again 4\d\.\d"
    require_found(forged, places, "crafted again", sentence)


@pytest.mark.slow
def test_costs_that_nobody_counted_again_are_named(
    unaudited_record: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = outcome(verify(unaudited_record, places, seed=3), "other values")
    assert told[0] == "not done"
    assert "seconds of the rows" in told[1]
    assert "gradients" not in told[1]
    monkeypatch.delitem(registry().choices["attack"], "pgd")
    _, text = outcome(verify(unaudited_record, places, seed=3), "other values")
    assert "gradients and queries of pgd (white_box, linf 0.2)" in text


# -- rows that nothing made again bounds -----------------------------------------------------------


def require_unverified(folder: Path, places: Places, step: str, sentence: str) -> None:
    verification = verified_by(folder, places, step)
    found, text = outcome(verification, step)
    assert found == "not done", verification.steps
    assert re.search(sentence, text), text
    assert verification.level == "consistent"


def test_an_attack_that_fails_again_vouches_for_nothing(
    unaudited_record: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert verify(unaudited_record, places, seed=3).level == "verified"
    search = attacks.search

    def fails(component: object, scenario: Scenario, *given: object) -> attacks.Found:
        if scenario.attack == "pgd":
            raise attacks.AttackFailed("no license")
        return search(component, scenario, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(crafted.attacks, "search", fails)
    require_unverified(unaudited_record, places, "crafted again", "pgd .* fails here, no license")


def test_a_row_made_again_vouches_for_no_other(
    unaudited_record: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(registry().choices["attack"], "pgd")
    require_unverified(unaudited_record, places, "crafted again", "pgd .*expected attack to be one")


def test_too_few_images_prove_nothing(small_record: Path, places: Places) -> None:
    require_unverified(small_record, places, "crafted again", "are too few to tell chance")
    require_unverified(small_record, places, "searched again", "an audit of 20 images is too small")


def test_an_attack_that_never_ends_is_not_waited_for(
    unaudited_record: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crafted.attacks, "search", lambda *_: time.sleep(60))
    monkeypatch.setattr(steps, "LIMIT", 3)
    require_unverified(unaudited_record, places, "crafted again", "not done after 3 seconds")


def test_integers_that_claim_to_answer_anew(forged: Path, places: Places) -> None:
    table = read_columns(forged / "audit.parquet")
    table["randomised"] = np.ones_like(table["randomised"])
    write_columns(table, forged / "audit.parquet")
    forger.seal(forged)
    require_found(forged, places, "audits", "answers each time anew, and here it does not")


def test_a_twin_that_agrees_less_than_is_recorded(forged: Path, places: Places) -> None:
    forger.edit_record(forged, lambda record: record["agreement"].update(equal_labels=0.5))
    require_found(forged, places, "model", r"its twin gives .*, 50\.0% are recorded")


def test_fewer_bits_than_the_weights_need(forged: Path, places: Places) -> None:
    forger.edit_record(forged, lambda record: record.update(bits=2))
    require_found(forged, places, "model", r"its weights need \d+ bits, 2 are recorded")
