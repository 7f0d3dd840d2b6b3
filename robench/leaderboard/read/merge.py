"""Several records of one system become one row: each adds its attacks and its values."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, TypeVar

from robench.base.hashing import digest
from robench.core.outcomes import Score
from robench.core.record import Audit, Provenance, Record, Value
from robench.leaderboard.read.parts import Part, robust_scores, worst_right
from robench.records.compare import budgets
from robench.records.protocol import Settings

SYSTEM = ("dataset", "model", "compressor", "defense")
Taken = tuple[Record, Sequence[Part]]
T = TypeVar("T")


def system(record: Record, parts: Sequence[Part]) -> str:
    """The digest of what answers: the configuration up to the attacks, and its clean answers."""
    config = {kind: record.config.get(kind) for kind in (*SYSTEM, "train", "certifier")}
    made = {k: v for k, v in record.provenance.components.items() if k.startswith(SYSTEM)}
    answers = hashlib.sha256(parts[0].columns["prediction"].tobytes()).hexdigest()
    machine = record.provenance.device, record.provenance.threads
    order = list(record.config["defense"])
    data = record.data.hash, record.data.subset
    return digest([config, order, made, answers, machine, data, record.seed])


def groups(
    records: Iterable[tuple[T, str, Settings]],
) -> list[list[T]]:
    """Items whose systems are one and whose attacks, where both have them, mean the same.

    Each is given with its `system` and its `settings`; the order decides who joins whom.
    """
    found: list[list[T]] = []
    for _, same in groupby(sorted(records, key=lambda one: one[1]), key=lambda one: one[1]):
        bins: list[tuple[list[T], dict[tuple[str, str], str]]] = []
        for item, _, known in same:
            for items, union in bins:
                if all(union.get(name, meaning) == meaning for name, meaning in known.items()):
                    items.append(item)
                    union.update(known)
                    break
            else:
                bins.append(([item], dict(known)))
        found += [items for items, _ in bins]
    return found


def merged(taken: Sequence[Taken]) -> Taken:
    """One record and its outcomes from those of one group; where two say the same, the newest."""
    if len(taken) == 1:
        return taken[0]
    newest = sorted(taken, key=lambda one: (-one[0].timings.get("finished", 0.0), one[0].id))
    records = [record for record, _ in newest]
    parts = _once((_part_key(p), p) for _, its in newest for p in _valid_first(its))
    record = records[0].model_copy(
        update={
            "id": min(record.id for record in records),
            "config": {**records[0].config, **_config(records)},
            "provenance": _provenance(records),
            "status": max((record.status for record in records), key=lambda s: s == "at_chance"),
            "rows": tuple(
                _once(
                    ((r.attack, r.access, r.norm, r.eps), r)
                    for record in records
                    for r in sorted(record.rows, key=lambda row: row.status == "invalid")
                )
            ),
            "values": tuple(_values(records)),
            "audit": tuple(_audits(records)),
        }
    )
    worst = tuple(_worst_cases(record, parts))
    return record.model_copy(update={"values": record.values + worst}), parts


def _once(pairs: Iterable[tuple[Any, T]]) -> list[T]:
    """The first of each key."""
    found: dict[Any, T] = {}
    for key, item in pairs:
        found.setdefault(key, item)
    return list(found.values())


def _valid_first(parts: Sequence[Part]) -> list[Part]:
    return sorted(parts, key=lambda part: not part.valid)


def _part_key(part: Part) -> tuple[str, str, str, float | None]:
    return part.attack, part.access, part.norm, part.eps


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


def _values(records: Sequence[Record]) -> Iterable[Value]:
    """All values but the worst cases; of two audited accuracies the lower, both are bounds."""
    found: dict[Any, Value] = {}
    for value in (value for record in records for value in record.values):
        key = value.metric, tuple(sorted(value.axes.items()))
        known = found.setdefault(key, value)
        if value.metric == "audited_accuracy" and (value.value or 0.0) < (known.value or 0.0):
            found[key] = value
    return (value for value in found.values() if value.metric != "worst_case_accuracy")


def _audits(records: Sequence[Record]) -> list[Audit]:
    """Of two audits under one threat the one that looked at more images."""
    audits = (audit for record in records for audit in record.audit)
    thorough = sorted(audits, key=lambda audit: -audit.n)
    return _once(((audit.norm, audit.eps), audit) for audit in thorough)


def _worst_cases(record: Record, parts: Sequence[Part]) -> Iterable[Value]:
    scores = list(robust_scores(parts, budgets(record)))
    for norm, eps in dict.fromkeys((score.norm, score.eps) for _, score in scores):
        right = worst_right(scores, norm, eps)
        if right is None:
            continue
        score = Score("worst_case", "any", norm, eps, right)
        low, high = score.interval
        axes = {"attack": score.attack, "access": score.access, "norm": norm, "eps": eps}
        yield Value(
            metric="worst_case_accuracy",
            value=score.value,
            low=low,
            high=high,
            n=len(right),
            unit="share",
            axes=axes,
        )
