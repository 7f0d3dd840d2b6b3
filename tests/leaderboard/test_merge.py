"""Several records of one system are one row; what merely looks alike stays apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import robench
from robench.core.record import Record
from robench.leaderboard.build import build
from robench.leaderboard.read.merge import families, groups, merged, recipe
from robench.leaderboard.read.traits import queries_only, weight_bits
from robench.records import store as results
from robench.records.protocol import protocol, settings
from robench.run.config import Places
from robench.testing import tiny_data, tiny_network
from robench_attacks.gradient import PGD
from tests.leaderboard.made import blurred
from tests.leaderboard.pages import document


def made(root: Path, model: Any = None, **given: Any) -> Record:
    places = Places(results=root / "results", cache=root / "cache", threads=1)
    shared = {"audit": "off", "places": places, **given}
    return robench.evaluate(model or tiny_network(), tiny_data(), **shared)


def test_records_of_one_system_are_the_row_that_one_run_gives(tmp_path: Path) -> None:
    """Worst cases, values and protocol are those of all attacks in one record."""
    whole = made(tmp_path / "whole", attack=("fgsm", "pgd", "cw"), metric=("accuracy", "size"))
    first = made(tmp_path / "apart", attack="pgd", metric="accuracy")
    made(tmp_path / "apart", attack=("fgsm", "cw"), metric=("accuracy", "size"))
    folders = list(results.folders(tmp_path / "apart"))
    record, outcomes = merged([(results.read(f), results.read_outcomes(f)) for f in folders])
    assert len(outcomes.rows) == 4

    def numbers(one: Record) -> dict[Any, Any]:
        return {(v.metric, *sorted(v.axes.items())): v.value for v in one.values}

    assert numbers(record) == numbers(whole)
    made_by = record.provenance.components
    known = settings(record.rows, record.config, made_by)
    assert protocol(record.data, record.rows, known) == whole.protocol
    assert first.protocol != whole.protocol
    site = build([tmp_path / "apart", tmp_path / "whole"], tmp_path / "page")
    (row,) = site.rows
    assert len(row.members) == 3
    told = document(tmp_path / "page", row.id)
    names = {folder.name for folder in results.folders(tmp_path / "apart")}
    assert names <= set(told["proof"]["members"])
    others = {*names, whole.id} - {row.id}
    assert all(document(tmp_path / "page", one) == {"row": row.id} for one in others)
    assert len(others) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"attack": {"pgd": PGD(steps=3)}},
        {"images": 30},
        {"model": blurred()},
    ],
)
def test_what_merely_looks_alike_stays_apart(other: dict[str, Any], tmp_path: Path) -> None:
    made(tmp_path, attack="pgd")
    made(tmp_path, **{"attack": "pgd", "metric": ("accuracy", "size"), **other})
    assert len(build([tmp_path / "results"], tmp_path / "page").rows) == 2


def test_another_metric_keeps_the_protocol(tmp_path: Path) -> None:
    plain = made(tmp_path, attack="fgsm", metric="accuracy")
    more = made(tmp_path, attack="fgsm", metric=("accuracy", "size", "latency"))
    noise = made(tmp_path, attack=("uniform_noise", "fgsm"), metric="accuracy")
    assert plain.protocol == more.protocol == noise.protocol


def test_groups_agree_on_every_attack_they_share() -> None:
    pgd, other, fgsm = ({("pgd", "w"): "1"}, {("pgd", "w"): "2"}, {("fgsm", "w"): "1"})
    every = [("a", "v", pgd), ("b", "v", other), ("c", "v", fgsm)]
    assert groups(every) == [["a", "c"], ["b"]]


def test_settings_of_another_network_keep_no_records_apart() -> None:
    pgd, other, fgsm = ({("pgd", "w"): "1"}, {("pgd", "w"): "2"}, {("fgsm", "w"): "1"})
    assert groups([("a", "v", other), ("b", "w", fgsm), ("c", "w", pgd)]) == [["a", "b", "c"]]
    # What speaks of unknown weights may speak of any, and tears nothing apart, nor is it torn.
    assert groups([("a", "", other), ("b", "w", fgsm), ("c", "w", pgd)]) == [["b", "c"], ["a"]]
    assert groups([("a", "v", other), ("b", "", fgsm), ("c", "", pgd)]) == [["a"], ["b", "c"]]
    assert groups([("a", "v", pgd), ("b", "", fgsm), ("c", "", pgd)]) == [["a", "b", "c"]]


def test_a_family_shares_an_id_or_a_system_directly_or_through_others() -> None:
    keys = {"a": "1s", "b": "2t", "c": "1u", "d": "3u", "e": "4v"}
    assert [sorted(family) for family in families(keys.items())] == [["a", "c", "d"], ["b"], ["e"]]


def test_a_record_says_its_bits_and_what_reads_answers_only(tmp_path: Path) -> None:
    record = made(tmp_path, attack=("fgsm", "square"), metric="accuracy")
    assert (record.bits, record.queries_only) == (32, ("square",))
    older = record.model_copy(
        update={
            "bits": None,
            "queries_only": None,
            "config": {**record.config, "compressor": {"ptq_int8": {}}},
        }
    )
    assert weight_bits(older) == 8
    assert queries_only(older) == {"square"}
    unknown = older.model_copy(update={"config": {"compressor": {"x": {}}, "attack": {"y": {}}}})
    assert (weight_bits(unknown), queries_only(unknown)) == (32, frozenset())
    chosen = older.model_copy(update={"config": {"compressor": {"x": {"bits": 3}}}})
    assert weight_bits(chosen) == 3


def test_networks_of_other_makers_are_no_replicates(tmp_path: Path) -> None:
    record = made(tmp_path)

    def by(origin: str) -> str:
        components = record.provenance.components
        mine = {name: text.replace("robench 0.1.0", origin) for name, text in components.items()}
        own = record.provenance.model_copy(update={"components": mine})
        return recipe(record.model_copy(update={"provenance": own}))

    assert by("robench 0.2.0") == recipe(record) != by("evil 0.1.0")
