"""One run: from configuration to record.

dataset -> model -> prepare -> train -> transform -> finish -> deploy     robench.run.stages
-> attack                                                                 robench.run.attacks
-> audit                                                                  robench.run.audits
-> measure -> record                                                      here
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from pydantic import ValidationError

from robench.base.errors import ConfigError, PluginError
from robench.base.hashing import digest, plain_options
from robench.base.machine import allotted_threads, cpu_name, keep_memory
from robench.base.seeds import derive, seed_scope
from robench.base.text import one_line
from robench.core.names import is_computed
from robench.core.outcomes import CLEAN, Outcomes, RowOutcomes, clean_score
from robench.core.record import AttackRow, DataInfo, Record, Value
from robench.plugin import guest
from robench.plugin.registry import fault, registry
from robench.records.protocol import NO_ACCESS, protocol, settings
from robench.records.store import RESERVED, write
from robench.records.support.values import AUDITED, GAINED, NAME, OWN, resembles_own
from robench.records.tables import plain_columns
from robench.records.weaker import weaker
from robench.run import attacks, keys
from robench.run.audits import audits
from robench.run.cache import Cache
from robench.run.certificates import attack_certificates
from robench.run.config import Places, RunConfig, require_protocol
from robench.run.evidence import RunEvidence
from robench.run.file_values import file_values
from robench.run.plan import check_steps, check_threats
from robench.run.provenance import provenance
from robench.run.stages import Stages, stages
from robench.run.standing import keep_standing
from robench.run.trainings import trainings

TABLE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}")
"""Names of the tables that metrics add; each names a file."""

if TYPE_CHECKING:
    from robench.plugin.components import Metric
    from robench.plugin.scenario import AdversarialExamples, Scenario
    from robench.run.attacks import Judgement


def run(
    config: RunConfig, places: Places, overrides: Sequence[str] = (), kept: Path | None = None
) -> tuple[Record, Path]:
    """Train, transform, compress, attack, judge, measure; returns the record and its folder.

    kept: a foreign file or an integer program that stands for training and compression, or weights
    for training.
    """
    start = time.perf_counter()
    require_protocol(config)
    places.require_writable()
    prepare_machine(places)
    steps = stages(config, places, Cache(places.cache), kept)
    if kept is None:
        check_steps(_before_data(steps))
    check_threats(steps)
    _ = steps.subset  # drawn before the training: other images than its protocol names end the run
    evidence, rows = attack_all(steps)
    values = measure(evidence) + file_values(evidence)
    status: Literal["ok", "at_chance"] = (
        "at_chance" if any(row.status == "at_chance" for row in rows) else "ok"
    )
    # Nothing is claimed of a model at chance, so there is nothing to audit.
    audit, audited = audits(evidence) if status == "ok" else ((), ())
    data, plain, made = _data_info(steps), config.plain(), provenance(steps)
    record = Record(
        id=config.id,
        status=status,
        config=plain,
        overrides=tuple(overrides),
        seed=config.seed,
        data=data,
        values=values + audited,
        rows=rows,
        agreement=steps.agreement,
        file=steps.facts,
        audit=audit,
        certificates=attack_certificates(evidence),
        notes=steps.notes,
        bits=steps.bits,
        queries_only=_queries_only(config),
        protocol=protocol(data, rows, settings(rows, plain, made.components)),
        provenance=made,
        timings={"run": time.perf_counter() - start, "finished": time.time()},
    )
    kept_as = write(record, evidence, places.results, model=steps.kept, arrays=evidence.arrays)
    if kept is None:
        keep_standing(steps, kept_as[1])
    tell_trackers(*kept_as)
    return kept_as


def _before_data(steps: Stages) -> Stages:
    """The stages that can refuse a run before data are kept: what is refused leaves no folder."""
    first = steps if steps.data_kept else steps.again()
    first.outline(download=True)
    return first


def train(config: RunConfig, places: Places, key: str) -> None:
    """Train one of a run's networks, named by the hash of its training; raises like `run`."""
    places.require_writable()
    prepare_machine(places)
    _ = trainings(stages(config, places, Cache(places.cache)))[key].weights


def tell_trackers(record: Record, folder: Path) -> None:
    """Call the plugins that want to know of a record; one that fails is said, and harms nothing."""
    for plugin, told in registry().trackers:
        if words := fault(lambda told=told: told(record, folder)):  # type: ignore[misc]
            print(f"robench: plugin {plugin!r} was told of the record: {words}", file=sys.stderr)  # noqa: T201


def prepare_machine(places: Places) -> None:
    """Set threads and memory handling for the whole process; by default threads as allotted.

    Raises ConfigError for a device that is not there.
    """
    if places.device != "auto":
        _require_device(places.device)
    keep_memory()
    if threads := places.threads or allotted_threads():
        torch.set_num_threads(threads)


def spread(places: Places, job: int) -> Places:
    """The places of one of several jobs at once on a machine: each GPU gets its share of them."""
    if places.device != "auto" or (count := torch.cuda.device_count()) < 2:
        return places
    return replace(places, device=f"cuda:{job % count}")


def _require_device(device: str) -> None:
    try:
        torch.empty(0, device=device)
    # torch says in many ways that it was built without a device, or that there is none.
    except Exception as error:
        raise ConfigError(
            f"expected a device that is here, got {device!r}: {one_line(error)[:200]}; "
            "set device=auto"
        ) from error


def attack_all(steps: Stages) -> tuple[RunEvidence, tuple[AttackRow, ...]]:
    """Attack and judge under every scenario; one whose attack fails is invalid, never robust."""
    base = attacks.judge(steps, attacks.clean(steps))
    outcomes = [_outcomes(None, None, base, steps)]
    status: Literal["ok", "at_chance"] = "at_chance" if _at_chance(outcomes[0], steps) else "ok"
    kept: list[tuple[Scenario, AdversarialExamples]] = []
    rows: list[AttackRow] = []
    for scenario in attacks.rows(steps):
        try:
            source = attacks.source_of(steps, scenario.access)
            examples = attacks.attack(source, scenario, steps)
        except attacks.AttackFailed as failure:
            outcomes.append(_outcomes(scenario, None, base, steps))
            rows.append(_row(scenario, status="invalid", message=str(failure)))
            continue
        outcomes.append(_outcomes(scenario, attacks.judge(steps, examples, scenario), base, steps))
        kept.append((scenario, examples))
        how = ("seconds", "made_on", "gradients", "queries")
        rows.append(_row(scenario, status=status, **{n: getattr(examples, n) for n in how}))
    found = Outcomes(tuple(outcomes))
    beaten = weaker(rows, found, _queries_only(steps.config))
    compared = tuple(
        row.model_copy(update={"weaker": one}) for row, one in zip(rows, beaten, strict=True)
    )
    return RunEvidence(steps, found, tuple(kept)), compared


def _queries_only(config: RunConfig) -> tuple[str, ...]:
    return tuple(name for name, attack in config.attack.items() if attack.queries_only)


def measure(evidence: RunEvidence) -> tuple[Value, ...]:
    """Every metric's values, cached under all that the metric may have read.

    Raises PluginError for values whose names are no names, belong to robench, or are those of a
    metric of another class.
    """
    values: list[Value] = []
    owners: dict[str, type[Metric]] = {}
    for metric in evidence.stages.config.metric.values():
        found = _measured(metric, evidence)
        for name in {value.metric for value in found}:
            taken = owners.setdefault(name, type(metric)) is not type(metric)
            if taken or _belongs_to_others(name, metric):
                raise PluginError(
                    f"expected values of {guest.name_of(metric)} to have names of their own, got "
                    f"{name!r}; another part of robench gives it, or one that reads like it"
                )
        values += found
    return tuple(values)


def _belongs_to_others(name: str, metric: Metric) -> bool:
    """Whether a value's name is one of robench's own, or reads like it, and not the metric's."""
    if is_computed(name):
        return True
    if guest.is_ours(metric):
        return name in (AUDITED, GAINED)
    return name in OWN or resembles_own(name)


def _measured(metric: Metric, evidence: RunEvidence) -> list[Value]:
    config = evidence.stages.config

    def make() -> dict[str, Any]:
        own = evidence if guest.is_ours(metric) else evidence.copy()
        before = set(own.tables)
        with seed_scope(derive(config.seed, "measure", plain_options(metric))):
            found = guest.collect(metric, metric.measure, own)
        values = [_plain_value(metric, value) for value in found]
        added = {n: _plain_table(metric, n, t) for n, t in own.tables.items() if n not in before}
        return {"values": values, "tables": added}

    stored = evidence.stages.cached("measure", _measure_inputs(metric, evidence), make)
    evidence.tables.update(stored["tables"])
    return [Value.model_validate(value) for value in stored["values"]]


def _plain_value(metric: Metric, value: Any) -> dict[str, Any]:
    """A metric's value as JSON-like data, checked anew; PluginError for what is none."""
    try:
        if not isinstance(value, Value):
            raise TypeError(f"expected a Value, got {type(value).__name__}")
        if not NAME.fullmatch(value.metric):
            raise TypeError(f"expected a name of letters, digits and _.+:-, got {value.metric!r}")
        return Value.model_validate(value.model_dump(warnings=False)).model_dump()
    except (ValidationError, TypeError, AttributeError) as error:
        raise PluginError(f"values of {guest.name_of(metric)}: {one_line(error)}") from error


def _plain_table(metric: Metric, name: Any, table: Any) -> dict[str, list[Any]]:
    """A metric's table as lists of plain values; PluginError for one that no file can hold."""
    who = guest.name_of(metric)
    if not isinstance(name, str) or not TABLE.fullmatch(name) or name in RESERVED:
        raise PluginError(
            f"expected tables of {who} to have names of their own, of letters, digits, _ and -, "
            f"got {name!r:.80}; {', '.join(sorted(RESERVED))} are taken"
        )
    columns = guest.call(metric, plain_columns, table)
    if len({len(column) for column in columns.values()}) > 1:
        raise PluginError(f"expected columns of one length in the table {name!r} of {who}")
    guest.call(metric, digest, columns)
    return columns


def _measure_inputs(metric: Metric, evidence: RunEvidence) -> dict[str, Any]:
    steps, certifiers = evidence.stages, evidence.stages.config.certifier
    machine = keys.float_environment(steps.device) if metric.reads == "models" else {}
    if metric.timed:
        machine = keys.float_environment(steps.device) | {"machine": cpu_name()}
    if identity := guest.call(metric, metric.identity):
        machine = {**machine, "identity": identity}
    return {
        "metric": keys.component_key(metric),
        **evidence.content(),
        "images": digest(steps.subset.tolist()),
        "certifier": {name: keys.component_key(c) for name, c in certifiers.items()},
        **steps.environment,
        **machine,
    }


def _outcomes(
    scenario: Scenario | None, judgement: Judgement | None, base: Judgement, steps: Stages
) -> RowOutcomes:
    """The outcomes of one row: the clean one without a scenario, invalid without a judgement."""
    said = judgement or base
    return RowOutcomes(
        attack=scenario.attack if scenario else CLEAN,
        access=scenario.access if scenario else NO_ACCESS,
        search=scenario.search if scenario else CLEAN,
        norm=scenario.threat.norm if scenario else "",
        eps=scenario.threat.eps if scenario else None,
        image=steps.subset.numpy(),
        label=steps.test.labels.numpy(),
        clean_prediction=base.labels.numpy(),
        prediction=said.labels.numpy(),
        linf=said.linf.numpy(),
        l2=said.l2.numpy(),
        valid=judgement is not None or scenario is None,
    )


def _at_chance(clean_row: RowOutcomes, steps: Stages) -> bool:
    """Whether clean accuracy cannot be told from always naming the commonest class."""
    commonest = float(torch.bincount(steps.test.labels).max()) / len(steps.test)
    return clean_score(Outcomes((clean_row,))).interval[0] <= commonest


def _row(scenario: Scenario, **result: Any) -> AttackRow:
    norm, eps = scenario.threat.norm, scenario.threat.eps
    return AttackRow(attack=scenario.attack, access=scenario.access, norm=norm, eps=eps, **result)


def _data_info(steps: Stages) -> DataInfo:
    return DataInfo(
        name=next(iter(steps.config.dataset)),
        hash=steps.data.hash,
        images=len(steps.test),
        subset=digest(steps.subset.tolist()),
    )
