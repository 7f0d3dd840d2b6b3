"""One run: from configuration to record."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from robench.base.hashing import digest
from robench.base.machine import keep_memory
from robench.base.seeds import derive, seed_scope
from robench.core.outcomes import CLEAN, Outcomes, RowOutcomes, clean_score
from robench.core.record import AttackRow, DataInfo, Record, TwinAgreement, Value
from robench.plugin.evidence import Evidence
from robench.records.protocol import protocol, settings
from robench.records.store import write
from robench.records.tables import plain_columns
from robench.run.attacks import Crafted, clean, craft, judge, rows, source_of
from robench.run.audits import audits
from robench.run.cache import Cache
from robench.run.config import Places, RunConfig
from robench.run.crafting import AttackFailed, Row
from robench.run.provenance import provenance
from robench.run.stages import Steps, named

if TYPE_CHECKING:
    from robench.run.attacks import Judged

AGREEMENT_EXPECTED = 0.99
"""Share of equal labels below which the twin is flagged as not computing the deployed function."""


def run(
    config: RunConfig, places: Places, overrides: Sequence[str] = (), stored: Path | None = None
) -> tuple[Record, Path]:
    """Train, transform, compress, attack, judge, measure; returns the record and its folder.

    stored: the file of an integer program that stands for training and compression.
    """
    start = time.perf_counter()
    prepare_machine(places)
    steps = Steps(config, places, Cache(places.cache), stored)
    evidence, attacked = gather(steps)
    values = measure(evidence)
    status: Literal["ok", "at_chance"] = (
        "at_chance" if any(row.status == "at_chance" for row in attacked) else "ok"
    )
    # Nothing is claimed of a model at chance, so there is nothing to audit.
    audit, audited = audits(evidence) if status == "ok" else ((), ())
    data, plain, made = _data_info(steps), config.plain(), provenance(config, steps)
    record = Record(
        id=config.id,
        status=status,
        config=plain,
        overrides=tuple(overrides),
        seed=config.seed,
        data=data,
        values=values + audited,
        rows=attacked,
        agreement=_agreement(steps),
        audit=audit,
        notes=steps.notes,
        bits=next(iter(config.compressor.values())).bits,
        queries_only=tuple(name for name, one in config.attack.items() if one.queries_only),
        protocol=protocol(data, attacked, settings(attacked, plain, made.components)),
        provenance=made,
        timings={"run": time.perf_counter() - start, "finished": time.time()},
    )
    return record, write(record, evidence, places.results)


def prepare_machine(places: Places) -> None:
    """Set threads and memory handling for the whole process."""
    keep_memory()
    if places.threads is not None:
        torch.set_num_threads(places.threads)


def gather(steps: Steps) -> tuple[Evidence, tuple[AttackRow, ...]]:
    """Attack and judge every row; an attack that fails makes its row invalid, never robust."""
    base = judge(steps, clean(steps))
    found = [_outcomes(None, None, base, steps)]
    chance = _at_chance(found[0], steps)
    examples: list[tuple[Row, Crafted]] = []
    attacked: list[AttackRow] = []
    for row in rows(steps):
        try:
            crafted = craft(source_of(steps, row.access), row, steps)
        except AttackFailed as failure:
            found.append(_outcomes(row, None, base, steps))
            attacked.append(_attack_row(row, status="invalid", message=str(failure)))
            continue
        found.append(_outcomes(row, judge(steps, crafted), base, steps))
        examples.append((row, crafted))
        status = "at_chance" if chance else "ok"
        attacked.append(_attack_row(row, status=status, seconds=crafted.seconds))
    return Evidence(steps, Outcomes(tuple(found)), tuple(examples)), tuple(attacked)


def measure(evidence: Evidence) -> tuple[Value, ...]:
    """Every metric's values, cached under all that the metric may have read."""
    config = evidence.steps.config
    judged = digest([crafted.key for _, crafted in evidence.examples])
    images = digest(evidence.steps.subset.tolist())
    found: list[Value] = []
    for metric in config.metric.values():
        inputs = {
            "metric": named(metric),
            "judged": judged,
            "images": images,
            "certifier": {name: asdict(c) for name, c in config.certifier.items()},
        }

        def make(metric: Any = metric) -> dict[str, Any]:
            before = set(evidence.tables)
            with seed_scope(derive(config.seed, "measure", named(metric)["options"])):
                values = [value.model_dump() for value in metric.measure(evidence)]
            added = {n: plain_columns(t) for n, t in evidence.tables.items() if n not in before}
            return {"values": values, "tables": added}

        stored = evidence.cached("measure", inputs, make)
        found += [Value.model_validate(value) for value in stored["values"]]
        evidence.tables.update(stored["tables"])
    return tuple(found)


def _outcomes(row: Row | None, judged: Judged | None, base: Judged, steps: Steps) -> RowOutcomes:
    """The outcomes of one row; `row=None` is the clean one, `judged=None` an invalid one."""
    result = judged or base
    return RowOutcomes(
        attack=row.attack if row else CLEAN,
        access=row.access if row else "none",
        search=row.component.search if row else CLEAN,
        norm=row.threat.norm if row else "",
        eps=row.threat.eps if row else None,
        image=steps.subset.numpy(),
        label=steps.test.labels.numpy(),
        clean_prediction=base.labels.numpy(),
        prediction=result.labels.numpy(),
        linf=result.linf.numpy(),
        l2=result.l2.numpy(),
        valid=judged is not None or row is None,
    )


def _at_chance(clean_row: RowOutcomes, steps: Steps) -> bool:
    """Whether clean accuracy cannot be told from always naming the commonest class."""
    commonest = float(torch.bincount(steps.test.labels).max()) / len(steps.test)
    return clean_score(Outcomes((clean_row,))).interval[0] <= commonest


def _attack_row(row: Row, **result: Any) -> AttackRow:
    return AttackRow(
        attack=row.attack, access=row.access, norm=row.threat.norm, eps=row.threat.eps, **result
    )


def _agreement(steps: Steps) -> TwinAgreement:
    found = steps.agreement
    return TwinAgreement(**asdict(found), flagged=found.equal_labels < AGREEMENT_EXPECTED)


def _data_info(steps: Steps) -> DataInfo:
    return DataInfo(
        name=next(iter(steps.config.dataset)),
        hash=steps.data.hash,
        images=len(steps.test),
        subset=digest(steps.subset.tolist()),
    )
