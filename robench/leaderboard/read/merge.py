"""Several records of one system become one: each adds its attacks and its values, and where two
say the same thing differently the worse one stands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import reduce
from itertools import chain
from typing import Any, TypeVar

import numpy as np

from robench.base.hashing import digest
from robench.core.outcomes import PER_IMAGE, Outcomes, RowOutcomes, worst_cases
from robench.core.record import (
    SYSTEM_KINDS,
    AttackRow,
    Audit,
    CertificateAudit,
    Provenance,
    Record,
    Value,
    share,
)
from robench.records.protocol import Settings, maker

Pair = tuple[Record, Outcomes]
T = TypeVar("T")
SEVERITY = ("fail", "suspect", "pass")
"""Verdicts of audits from the one that weighs most."""


def system(record: Record) -> str:
    """The digest of what was asked for: the configuration up to the attacks, versions and seed.

    What answered (weights, machine) stays out: records of one system may be replicates.
    """
    made = {k: v for k, v in record.provenance.components.items() if k.startswith(SYSTEM_KINDS)}
    return digest([*_asked(record), made, record.seed])


def network(record: Record, weights: str | None) -> str:
    """The digest of the model's weights and of what was asked for, whatever the seed and training.

    Nothing where no weights are known: then two seeds may be two networks.
    """
    if not weights:
        return ""
    config, defenses = _asked(record)
    return digest([{**config, "train": None}, defenses, weights])


def recipe(record: Record) -> str:
    """The digest of what networks share that were trained and deployed alike, whatever their seeds
    and machines: the configuration up to the attacks, and its components' makers and versions."""
    made = {
        name: maker(version)
        for name, version in record.provenance.components.items()
        if name.startswith(SYSTEM_KINDS)
    }
    return digest([*_asked(record), made])


def origin(record: Record) -> str:
    """The digest of a configuration but for its compressor: what a network shares with its float
    parent, and with nothing trained under another seed."""
    config, defenses = _asked(record)
    return digest([{**config, "compressor": None}, defenses, record.seed])


def _asked(record: Record) -> list[Any]:
    """The configuration up to the attacks; the order of defenses is part of it."""
    config = {kind: record.config.get(kind) for kind in (*SYSTEM_KINDS, "train", "certifier")}
    return [config, list(record.config["defense"])]


def meaning(record: Record, known: Settings) -> dict[tuple[str, str], str]:
    """What two records of one row must not contradict: their attacks' settings and the images."""
    return {**known, ("", "images"): digest([record.data.hash, record.data.subset])}


def families(items: Iterable[tuple[T, Sequence[str]]]) -> list[list[T]]:
    """Items that share a key (id, system, network), directly or through others; each with its keys.

    Families, and the items of one, stand in the order in which they came.
    """
    came = list(items)
    older: dict[int, int] = {}
    of: dict[str, int] = {}
    for number, (_, keys) in enumerate(came):
        for other in {_oldest(older, of.setdefault(key, number)) for key in keys}:
            mine = _oldest(older, number)
            if other != mine:
                older[max(other, mine)] = min(other, mine)
    found: dict[int, list[T]] = {}
    for number, (item, _) in enumerate(came):
        found.setdefault(_oldest(older, number), []).append(item)
    return list(found.values())


def _oldest(older: dict[int, int], item: int) -> int:
    """The first item of a family, by its number; `older` leads there from each other."""
    while item in older:
        item = older[item]
    return item


def groups(items: Iterable[tuple[T, str, Settings]]) -> list[list[T]]:
    """Items of one family whose settings agree, each with the weights that it speaks of; the order
    decides who joins whom.

    What another network says keeps no items of one apart. Nothing stands for unknown weights, which
    may be any: such items are put together first, and stand with the networks that they agree with.
    """
    apart: dict[str, list[tuple[T, Settings]]] = {}
    for item, weights, known in items:
        apart.setdefault(weights, []).append((item, known))
    found: list[tuple[list[T], dict[str, Settings]]] = []
    for weights in sorted(apart, key=lambda one: not one):
        for same, union in _agreeing(apart[weights]):
            for mine, unions in found:
                others = (its for of, its in unions.items() if not weights or of in ("", weights))
                if all(_agree(its, union) for its in others):
                    mine += same
                    unions[weights] = union
                    break
            else:
                found.append((same, {weights: union}))
    return [mine for mine, _ in found]


def _agreeing(items: Iterable[tuple[T, Settings]]) -> list[tuple[list[T], Settings]]:
    """Items of one network in the first place where their settings agree, with all of these."""
    found: list[tuple[list[T], dict[tuple[str, str], str]]] = []
    for item, known in items:
        for mine, union in found:
            if _agree(union, known):
                mine.append(item)
                union.update(known)
                break
        else:
            found.append(([item], dict(known)))
    return [(mine, union) for mine, union in found]


def _agree(first: Settings, second: Settings) -> bool:
    return all(first.get(name, its) == its for name, its in second.items())


def merged(pairs: Sequence[Pair]) -> Pair:
    """One record and its outcomes from those of one group, the first of them giving its name.

    Each image counts under an attack as in the record where it fares worst.
    """
    if len(pairs) == 1:
        return pairs[0]
    records = [record for record, _ in pairs]
    outcomes = Outcomes(tuple(_outcomes(its for _, its in pairs)))
    record = records[0].model_copy(
        update={
            "config": {**records[0].config, **_config(records)},
            "provenance": _provenance(records),
            "status": max((record.status for record in records), key=lambda s: s == "at_chance"),
            "rows": tuple(_rows(records)),
            "values": tuple(v for v in worse_values(records) if v.metric != "worst_case_accuracy"),
            "audit": tuple(worse_audits(records)),
            "certificates": _certificates(records),
            **_queries_only(records),
        }
    )
    worst = tuple(
        share("worst_case_accuracy", score.right.sum(), len(score.right), score.axes)
        for score in worst_cases(outcomes, record.budgets())
    )
    return record.model_copy(update={"values": record.values + worst}), outcomes


def worse_values(records: Iterable[Record]) -> Iterable[Value]:
    """All values; of two that speak of the same the worse one, for an accuracy the lower."""
    found: dict[Any, Value] = {}
    for value in chain.from_iterable(record.values for record in records):
        key = value.metric, *sorted((name, type(axis), axis) for name, axis in value.axes.items())
        found[key] = _worse(found[key], value) if key in found else value
    return found.values()


def worse_audits(records: Iterable[Record]) -> list[Audit]:
    """Of two audits under one threat the one with the worse verdict, then of more images."""
    audits = chain.from_iterable(record.audit for record in records)
    worst = sorted(audits, key=lambda audit: (SEVERITY.index(audit.verdict), -audit.n))
    return _once(((audit.norm, audit.eps), audit) for audit in worst)


def _certificates(records: Iterable[Record]) -> CertificateAudit | None:
    """Of several audits of certificates the one that broke most."""
    found = [record.certificates for record in records if record.certificates]
    return max(found, key=lambda one: (one.refuted, len(one.broken)), default=None)


def _worse(first: Value, second: Value) -> Value:
    if first.value is None or second.value is None:
        return first if second.value is None else second
    higher = first.better == "higher" or first.metric.endswith("_accuracy")
    if first.better == "neither" or first.value == second.value:
        return first
    return min(first, second, key=lambda v: (v.value or 0.0) * (1 if higher else -1))


def _once(pairs: Iterable[tuple[Any, T]]) -> list[T]:
    """The first of each key."""
    found: dict[Any, T] = {}
    for key, item in pairs:
        found.setdefault(key, item)
    return list(found.values())


def _outcomes(each: Iterable[Outcomes]) -> list[RowOutcomes]:
    """Every row once, as the worst of those that worked, or as one that did not."""
    same: dict[Any, list[RowOutcomes]] = {}
    for row in chain.from_iterable(its.rows for its in each):
        same.setdefault(row_key(row), []).append(row)
    return [reduce(_worst, [r for r in rows if r.valid] or rows[:1]) for rows in same.values()]


def _worst(first: RowOutcomes, second: RowOutcomes) -> RowOutcomes:
    """Per image the worse of two outcomes; of two that broke it the one that changed it less."""
    wrong = ~first.right & ~second.right
    searched = first.eps is None and first.norm
    nearer = second.distance < first.distance if searched else np.zeros_like(wrong)
    attacked = first.right & ~second.right | wrong & nearer
    clean = first.clean_right & ~second.clean_right
    taken = dict.fromkeys(PER_IMAGE, attacked) | {"clean_prediction": clean}
    columns = {
        name: np.where(at, getattr(second, name), getattr(first, name))
        for name, at in taken.items()
    }
    return replace(first, **columns)


def row_key(row: RowOutcomes | AttackRow) -> tuple[str, str, str, float | None]:
    """What makes a row of a run the same as another run's."""
    return row.attack, row.access, row.norm, row.eps


def _rows(records: Sequence[Record]) -> list[AttackRow]:
    """Every row once; one that worked before one that did not."""
    rows = chain.from_iterable(record.rows for record in records)
    order = _once((row_key(row), row_key(row)) for record in records for row in record.rows)
    valid = sorted(rows, key=lambda row: row.status == "invalid")
    found = {row_key(row): row for row in reversed(valid)}
    return [found[key] for key in order]


def _config(records: Sequence[Record]) -> dict[str, Any]:
    kinds = ("attack", "metric", "access")
    return {
        kind: {name: options for one in records for name, options in one.config[kind].items()}
        for kind in kinds
    }


def _provenance(records: Sequence[Record]) -> Provenance:
    first = records[0].provenance
    older = {k: v for one in reversed(records) for k, v in one.provenance.components.items()}
    return first.model_copy(update={"components": older})


def _queries_only(records: Sequence[Record]) -> dict[str, tuple[str, ...] | None]:
    """All attacks that read answers only, None when a record does not say it; old ones lack it."""
    each = [record.queries_only for record in records]
    known = [names for names in each if names is not None]
    if not known:
        return {}
    return {"queries_only": tuple(dict.fromkeys(chain(*known))) if known == each else None}
