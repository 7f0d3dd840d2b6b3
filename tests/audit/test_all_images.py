"""The audited accuracy is of all judged images, and never above a row."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import robench
from robench.base.errors import UserError
from robench.base.hashing import file_hash
from robench.core.data import Data
from robench.core.record import AUDITED, Record
from robench.records.consistent import inspect
from robench.records.headline import audit_table, headline
from robench.records.said import verdicts
from robench.records.store import read_outcomes
from robench.records.tables import write_columns
from robench.run.config import AuditConfig, Places
from tests.audit.zoo import Zoo

EPS = 0.1


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(results=tmp_path / "results", cache=tmp_path / "cache", threads=1)


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quick audits look at 30 images, so that most are left aside, and train no surrogate."""
    monkeypatch.setitem(AUDITED, "quick", 30)
    for module in ("examination", "remaining"):
        monkeypatch.setattr(f"robench.run.{module}.sources", lambda _: {})


@pytest.fixture
def judged(zoo: Zoo, places: Places) -> Callable[..., tuple[Record, Path]]:
    lesson = zoo.lesson
    usual = robench.UsualThreat({"linf": (0.05, EPS / 2, EPS)}, 0.1)
    data = Data(lesson.train, lesson.test, tuple("0123456789"), usual)

    def run(model: nn.Module | None = None, **given: Any) -> tuple[Record, Path]:
        options = {"attack": "fgsm", "audit": "quick", "places": places, **given}
        record = robench.evaluate(model or zoo.base(), data, **options)
        return record, places.results / record.id

    return run


class Noisy(nn.Module):
    """A network that answers anew each time."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(images + 0.1 * torch.randn_like(images))
        return logits


def number(record: Record) -> tuple[float, int]:
    value = record.find("audited_accuracy", norm="linf", eps=EPS)
    assert value is not None
    assert value.value is not None
    assert value.n is not None
    return value.value, value.n


def test_of_all_images_and_the_headline(judged: Any) -> None:
    record, folder = judged()
    (audit,), (share, n) = record.audit, number(record)
    assert (audit.n, n) == (30, 100)
    assert audit.seconds is not None
    assert audit.seconds > 0
    outcomes, table = read_outcomes(folder), audit_table(folder)
    assert table is not None
    assert table["checked"].sum() == 30
    holds = headline(record, outcomes, table, "linf", EPS)
    assert holds.mean() == share
    fgsm = record.find("robust_accuracy", attack="fgsm")
    gained = record.find("gained_by_masking", attack="fgsm")
    assert fgsm is not None
    assert gained is not None
    assert (gained.n, gained.value) == (100, pytest.approx(fgsm.value - share))
    aside = ~table["checked"]
    broken = table["rows"][aside] & ~table["held"][aside]
    assert broken.any(), "the strongest search breaks what the checks left aside"
    assert inspect(folder).unfounded == ()


def test_what_a_row_searched_is_not_searched_again(
    judged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from robench.search import StrongestSearch

    met: list[int] = []
    run = StrongestSearch.run

    def counted(self: Any, target: Any, images: Any, *rest: Any) -> Any:
        met.append(len(images))
        return run(self, target, images, *rest)

    monkeypatch.setattr(StrongestSearch, "run", counted)
    record, _ = judged(attack=("fgsm", "strongest"))
    strongest = record.find("robust_accuracy", attack="strongest")
    assert strongest is not None
    assert met == [100], "the row's alone"
    assert strongest.value is not None
    assert number(record)[0] <= strongest.value


def test_an_audit_of_some_images_by_hand(judged: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    joined = replace(AuditConfig(level="quick"), images=20)
    monkeypatch.setattr("robench.run.evaluate.joined", lambda _: joined)
    record, folder = judged()
    assert (record.audit[0].n, number(record)[1]) == (20, 20)
    lines = " ".join(
        line.text for line in verdicts(record, read_outcomes(folder), audit_table(folder))
    )
    assert "audit: quick, on 20 of 100 images" in lines
    assert "points that it takes from these beyond the rows: linf 0.1: " in lines
    assert inspect(folder).unfounded == ()


def forged(folder: Path, change: Any) -> None:
    """Write a changed table, with the digest that the record names."""
    table = dict(audit_table(folder) or {})
    change(table)
    (folder / "audit.parquet").unlink()
    write_columns(table, folder / "audit.parquet")
    text = json.loads((folder / "record.json").read_text())
    text["files"]["audit.parquet"] = file_hash(folder / "audit.parquet")
    (folder / "record.json").write_text(json.dumps(text))


def test_a_table_of_fewer_images_is_no_table_of_all(judged: Any) -> None:
    _, folder = judged()

    def cut(table: dict[str, Any]) -> None:
        mine = table["checked"] | (np.arange(len(table["checked"])) < 50)
        table.update({name: column[mine] for name, column in table.items()})

    forged(folder, cut)
    with pytest.raises(UserError, match="expected 100 images"):
        inspect(folder)


def test_a_table_that_says_not_what_was_checked_is_an_older_ones(judged: Any) -> None:
    _, folder = judged()
    forged(folder, lambda table: table.pop("checked"))
    with pytest.raises(UserError, match="expected 30 images"):
        inspect(folder)


def test_a_randomised_system_is_broken_by_what_a_row_broke(zoo: Zoo, judged: Any) -> None:
    record, folder = judged(Noisy(zoo.base()), randomised=True)
    table, outcomes = audit_table(folder), read_outcomes(folder)
    assert table is not None
    assert table["randomised"].all()
    (row,) = outcomes.attacked
    assert not (table["held"] & ~(row.right & row.clean_right)).any()
    assert number(record) == (table["held"].mean(), 100)
    assert inspect(folder).unfounded == ()


def test_the_rest_searched_in_parts_is_all_of_it(
    judged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, whole = judged()
    # Of the 8x8 digits: 7 images a part.
    monkeypatch.setattr("robench.run.remaining.HELD", 7 * 64)
    record, folder = judged(seed=1)
    table, before = audit_table(folder), audit_table(whole)
    assert table is not None
    assert before is not None
    assert list(table["position"]) == list(before["position"]) == [*range(100)]
    holds = headline(record, read_outcomes(folder), table, "linf", EPS)
    assert holds.mean() == number(record)[0]
    rest = ~table["checked"]
    assert table["rows"][rest].sum() > table["held"][rest].sum() > 0
    inspect(folder)
