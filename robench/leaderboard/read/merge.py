"""Several records of one system become one row: each adds its attacks and its values."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from itertools import chain, groupby
from typing import Any, TypeVar

from robench.base.hashing import digest
from robench.core.outcomes import Outcomes, RowOutcomes, worst_cases
from robench.core.record import SYSTEM_KINDS, AttackRow, Audit, Provenance, Record, Value, share
from robench.records.compare import budgets
from robench.records.protocol import Settings

Taken = tuple[Record, Outcomes]
T = TypeVar("T")


def system(record: Record, outcomes: Outcomes) -> str:
    """The digest of what answers: the configuration up to the attacks, and its clean answers."""
    config = {kind: record.config.get(kind) for kind in (*SYSTEM_KINDS, "train", "certifier")}
    made = {k: v for k, v in record.provenance.components.items() if k.startswith(SYSTEM_KINDS)}
    answers = hashlib.sha256(outcomes.clean.prediction.tobytes()).hexdigest()
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
    rows = _once((_key(row), row) for _, its in newest for row in _valid_first(its.rows))
    outcomes = Outcomes(tuple(rows))
    record = records[0].model_copy(
        update={
            "id": min(record.id for record in records),
            "config": {**records[0].config, **_config(records)},
            "provenance": _provenance(records),
            "status": max((record.status for record in records), key=lambda s: s == "at_chance"),
            "rows": tuple(
                _once(
                    (_key(r), r)
                    for record in records
                    for r in sorted(record.rows, key=lambda row: row.status == "invalid")
                )
            ),
            "values": tuple(_values(records)),
            "audit": tuple(_audits(records)),
            **_queries_only(records),
        }
    )
    worst = tuple(
        share("worst_case_accuracy", score.right.sum(), len(score.right), score.axes)
        for score in worst_cases(outcomes, budgets(record))
    )
    return record.model_copy(update={"values": record.values + worst}), outcomes


def _once(pairs: Iterable[tuple[Any, T]]) -> list[T]:
    """The first of each key."""
    found: dict[Any, T] = {}
    for key, item in pairs:
        found.setdefault(key, item)
    return list(found.values())


def _valid_first(rows: Sequence[RowOutcomes]) -> list[RowOutcomes]:
    return sorted(rows, key=lambda row: not row.valid)


def _key(row: RowOutcomes | AttackRow) -> tuple[str, str, str, float | None]:
    return row.attack, row.access, row.norm, row.eps


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


def _queries_only(records: Sequence[Record]) -> dict[str, tuple[str, ...] | None]:
    """All attacks that read answers only, None when a record does not say it; old ones lack it."""
    each = [record.queries_only for record in records]
    known = [names for names in each if names is not None]
    if not known:
        return {}
    return {"queries_only": tuple(dict.fromkeys(chain(*known))) if known == each else None}


def _audits(records: Sequence[Record]) -> list[Audit]:
    """Of two audits under one threat the one that looked at more images."""
    audits = (audit for record in records for audit in record.audit)
    thorough = sorted(audits, key=lambda audit: -audit.n)
    return _once(((audit.norm, audit.eps), audit) for audit in thorough)
