"""What a number means, in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from robench.core.outcomes import Outcomes, Score
from robench.core.record import AttackRow, Audit, MadeOn, Value, WeakAttack
from robench.records.said import warnings
from robench.records.sheet import sheet
from robench.records.words import word_of, word_of_row
from tests.records.test_headline import BALL, record_of, row

N = 12
LABELS = np.arange(200) % 10


def audit(verdict: Any, **more: Any) -> Audit:
    return Audit(norm="linf", eps=0.1, level="quick", n=100, verdict=verdict, **more)


def record_under(**parts: Any) -> Any:
    yes = [True] * N
    clean, pgd = row("clean", yes, yes, ("", None), "clean", "none"), row("pgd", yes, yes, BALL)
    return record_of(Outcomes((clean, pgd)), **parts)


def holding(count: int) -> Any:
    return np.arange(200) < count


@pytest.mark.parametrize(
    ("verdict", "held", "word"),
    [
        ("pass", 150, "holds"),
        ("pass", 0, "broken"),
        ("suspect", 0, "broken"),
        ("pass", 20, "broken"),
        ("pass", 28, "broken"),
        ("pass", 31, "holds"),
        ("suspect", 150, "suspect"),
        ("fail", 150, "masked"),
        ("fail", 0, "masked"),
        (None, 150, "not_audited"),
        (None, 0, "broken"),
    ],
)
def test_word_of_a_system(verdict: Any, held: int, word: str) -> None:
    audits = (audit(verdict),) if verdict else ()
    said = word_of(record_under(audit=audits), LABELS, *BALL, holding(held))
    assert said.word == word
    assert ("nothing holds" in said.sentence) == (word == "broken" and held == 0)


def test_only_gradients_that_mislead_are_masked() -> None:
    """A verdict under another threat says nothing about this one."""
    record = record_under(audit=(audit("fail").model_copy(update={"eps": 0.2}),))
    assert word_of(record, LABELS, *BALL, holding(150)).word == "not_audited"


def test_chance_and_failed_attacks() -> None:
    failed = AttackRow(
        attack="pgd", access="white_box", norm="linf", eps=0.1, status="invalid", message="nan"
    )
    record = record_under(rows=(failed,))
    assert word_of(record, LABELS, *BALL, holding(150)).word == "invalid"
    said = word_of_row(record, failed, None, holding(150))
    assert said is not None
    assert (said.word, "nan" in said.sentence) == ("invalid", True)
    assert word_of(record_under(status="at_chance"), LABELS, *BALL, holding(20)).word == "at_chance"


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        (LABELS, "the model is at chance"),
        (np.zeros(40, dtype=np.int64), "all images are of one class"),
        (np.arange(3) % 2, "too few images (3) to tell the model from chance"),
        (np.zeros(1, dtype=np.int64), "too few images (1) to tell the model from chance"),
    ],
)
def test_what_no_model_could_pass_is_not_said_of_the_model(labels: Any, why: str) -> None:
    record = record_under(status="at_chance", config={"defense": {}, "compressor": {}})
    said = word_of(record, labels, *BALL, np.ones(len(labels), dtype=bool))
    assert said.sentence == f"{why}: nothing about it can be claimed"
    yes, ball = [True] * len(labels), ("", None)
    clean = replace(row("clean", yes, yes, ball, "clean", "none"), label=labels)
    told = warnings(record, Outcomes((clean,)))
    assert f"{why}: nothing about its robustness can be claimed" in told


@pytest.mark.parametrize(
    ("under", "access", "eps", "word", "sentence"),
    [
        ({"name": "p", "version": 1}, "white_box", 0.1, "invalid", "fixes failed: cw (white_box)"),
        ({"name": "p", "version": 1}, "transfer", None, "invalid", "fixes failed: cw (transfer)"),
        ({"name": "p", "version": 1}, "white_box", 0.2, "not_audited", "could work"),
        (None, "white_box", 0.1, "not_audited", "on fewer attacks than asked: cw (white_box) fail"),
        (None, "transfer", 0.1, "invalid", "no other attack of its access worked: cw (transfer)"),
        (None, "none", 0.1, "not_audited", "on fewer attacks than asked: cw (none) failed"),
    ],
)
def test_a_failed_attack_is_no_robustness(
    under: Any, access: str, eps: Any, word: str, sentence: str
) -> None:
    record = record_under()
    failed = AttackRow(attack="cw", access=access, norm="linf", eps=eps, status="invalid")
    config = {**record.config, "protocol": under} if under else record.config
    record = record.model_copy(update={"rows": (*record.rows, failed), "config": config})
    said = word_of(record, LABELS, *BALL, holding(150))
    assert (said.word, sentence in said.sentence) == (word, True), said.sentence


@pytest.mark.parametrize(
    ("right", "held", "weak", "words"),
    [
        (194, 16, None, "weak attack: overstates by 89 points"),
        (150, 150, None, None),
        (150, 149, None, None),
        # An audit of some images: the row gained more there than all images show.
        (194, 178, {"gained": 0.89, "low": 0.8, "high": 0.93}, "overstates by 89 points"),
        (150, 150, {"gained": 0.0, "low": 0.0, "high": 0.1, "missed": 0.5}, "misses 50%"),
    ],
)
def test_words_of_a_row(right: int, held: int, weak: Any, words: str | None) -> None:
    found = (WeakAttack(attack="pgd", access="white_box", **weak),) if weak else ()
    record = record_under(audit=(audit("pass", weak_attacks=found),))
    score = Score("pgd", "white_box", "linf", 0.1, holding(right))
    said = word_of_row(record, record.rows[0], score, holding(held))
    assert (said is None) == (words is None)
    if said and words:
        assert said.word == "weak"
        assert words in said.sentence


def test_a_metric_of_clean_and_attacked_images_says_which_is_which() -> None:
    """Beside values under attack one without axes is that of the clean images."""
    axes = {"attack": "pgd", "access": "white_box", "norm": "linf", "eps": 8 / 255}
    shares = ({}, 0.1), (axes, 0.2), ({**axes, "attack": "fgsm"}, 0.3)
    values = [
        Value(metric="parent_difference", axes=place, value=v, unit="share", n=N)
        for place, v in shares
    ]
    record = record_under(values=tuple(values))
    kinds = {"dataset": "digits", "model": "small_cnn", "defense": "none", "compressor": "none"}
    config = {**record.config, **{kind: {name: {}} for kind, name in kinds.items()}}
    said = [line.text for line in sheet(record.model_copy(update={"config": config}))]
    (line,) = [text for text in said if text.startswith("parent_difference")]
    assert line.endswith(" 10.0 % (clean); 20.0 % (pgd, linf 8/255); 30.0 % (fgsm, linf 8/255)")


def test_threads_that_trained_are_said_where_the_run_had_others() -> None:
    record = record_under(config={"model": {}, "defense": {}, "compressor": {}})
    made = record.provenance
    assert not any("trained with" in line.text for line in sheet(record))
    weights = MadeOn(torch="2", device="cpu", threads=made.threads + 1, machine=made.machine)
    cached = record.model_copy(update={"provenance": made.model_copy(update={"weights": weights})})
    told = [line.text for line in sheet(cached) if line.text.startswith("trained with")]
    assert told == ["trained with 2 threads, found in the cache; judged with 1"]
