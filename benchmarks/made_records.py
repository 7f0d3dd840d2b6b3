"""Made-up records for the benchmarks: published ones with other outcomes, seeds and choices.

Each keeps what its own says, so that all of them are taken in: the tables hold other answers, and
every number of the record follows from them.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from robench.base.hashing import canonical, file_hash, plain_options
from robench.base.stats import paired
from robench.core.outcomes import Outcomes, clean_score, rows_by_threat, scores, worst_cases
from robench.core.record import Record, Value, run_id, share, worst
from robench.core.sentences import sentence
from robench.plugin.registry import registry
from robench.records.preview import PREVIEW, picture, sheet, strips
from robench.records.protocol import protocol, settings
from robench.records.protocols import GROUP
from robench.records.store import EXAMPLES, OUTCOMES, RECORD, WEIGHTS
from robench.records.support.held import AUDIT_TABLE, audited_value, gained_value
from robench.records.tables import (
    read_columns,
    read_outcomes_file,
    write_columns,
    write_outcomes_file,
)
from robench.records.weaker import weaker

PUBLISHED = Path(__file__).parents[1] / "leaderboard/records"
TEMPLATES = (
    ("beeedeb09fcd6c79", True),
    ("62eda1ea538da51c", True),
    ("1595fb9b4ddcb1e7", True),
    ("1aadc02207c7fac9", True),
    ("1595fb9b4ddcb1e7", False),
)
"""Published records, and whether those made of them stay under its protocol; of the first three
protocols are MNIST, CIFAR-10 and digits in Linf, of the fourth digits in L2, the last are open."""
DEFENSES = ("none", "gaussian_training", "adversarial_training", "feedback_learning", "intrs")
COMPRESSORS = ("none", "ptq", "ptq_int8", "qat_int8")
BITS = {"none": 32, "ptq": 3, "ptq_int8": 8, "qat_int8": 8}
FINISHED = 1.7e9
PICTURES = 50
"""One record in so many has a picture of examples."""


@dataclass(frozen=True)
class Template:
    """A published record that others are made of."""

    record: dict[str, Any]
    outcomes: Outcomes
    audit: dict[str, Any]
    examples: bytes
    picture: bytes


def make_records(root: Path, count: int, first: int = 0) -> None:
    """Write `count` records below `root`, those of the numbers from `first` on."""
    templates = [_template(PUBLISHED / name, under) for name, under in TEMPLATES]
    root.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        _make(root, number, templates[number % len(templates)])


def copy_records(root: Path, out: Path, seed: int) -> None:
    """The records below `root` as replicates of another seed; tables are the same files."""
    out.mkdir(parents=True)
    for folder in sorted(root.iterdir()):
        record = json.loads((folder / RECORD).read_bytes())
        record["seed"] = record["config"]["seed"] = seed + record["seed"]
        place = out / run_id(record["config"])
        place.mkdir()
        weights = hashlib.sha256(place.name.encode()).digest()
        (place / WEIGHTS).write_bytes(weights)
        record["id"], record["files"][WEIGHTS] = place.name, hashlib.sha256(weights).hexdigest()
        for file in folder.iterdir():
            if file.name not in (RECORD, WEIGHTS):
                os.link(file, place / file.name)
        (place / RECORD).write_text(json.dumps(record, indent=1))


def _template(folder: Path, under: bool) -> Template:
    record = json.loads((folder / RECORD).read_bytes())
    if not under:
        del record["config"][GROUP]
    outcomes = read_outcomes_file(folder / OUTCOMES)
    return Template(
        record,
        outcomes,
        read_columns(folder / f"{AUDIT_TABLE}.parquet"),
        _no_examples(),
        sheet([*strips(picture(folder), len(outcomes.attacked))]),
    )


def _no_examples() -> bytes:
    import io

    file = io.BytesIO()
    np.savez(file, row0=np.zeros(1, np.uint8))
    return file.getvalue()


def _make(root: Path, number: int, template: Template) -> None:
    rng = np.random.default_rng(number)
    record = _asked(copy.deepcopy(template.record), number)
    folder = root / record["id"]
    folder.mkdir()
    outcomes = _outcomes(template.outcomes, rng)
    write_outcomes_file(outcomes, folder / OUTCOMES)
    (folder / EXAMPLES).write_bytes(template.examples)
    (folder / WEIGHTS).write_bytes(rng.bytes(64))
    if number // len(TEMPLATES) % PICTURES == 0:
        (folder / PREVIEW).write_bytes(template.picture)
    typed = Record.model_validate(record)
    audit = _audit(typed, outcomes, template.audit, rng)
    write_columns(audit, folder / f"{AUDIT_TABLE}.parquet")
    _agree(record, typed, outcomes, audit)
    named = sorted(path for path in folder.iterdir() if path.name != PREVIEW)
    record["files"] = {path.name: file_hash(path) for path in named}
    (folder / RECORD).write_text(json.dumps(record, indent=1))


def _asked(record: dict[str, Any], number: int) -> dict[str, Any]:
    """The configuration with other choices and another seed, and what follows from it."""
    config, made = record["config"], record["provenance"]["components"]
    compressor, defense = COMPRESSORS[number // 5 % 4], DEFENSES[number // 20 % 5]
    for kind, name in (("compressor", compressor), ("defense", defense)):
        for old in config[kind]:
            made.pop(f"{kind}.{old}")
        config[kind] = {name: _options(kind, name)}
        made[f"{kind}.{name}"] = "robench 0.1.0 / 1"
    config["train"] = {**config["train"], "epochs": 5 + number // 100 % 4}
    config["seed"] = record["seed"] = number // 400
    record |= {"id": run_id(config), "overrides": [], "bits": BITS[compressor]}
    record["timings"] = {**record["timings"], "finished": FINISHED + number}
    known = Record.model_validate(record)
    its = settings(known.rows, config, made)
    record["protocol"] = protocol(known.data, known.rows, its)
    return record


@cache
def _options(kind: str, name: str) -> dict[str, Any]:
    """All options of a choice at their defaults, as a run has them."""
    made: dict[str, Any] = json.loads(canonical(plain_options(registry().get(kind, name).make())))
    return made


def _outcomes(given: Outcomes, rng: np.random.Generator) -> Outcomes:
    from dataclasses import replace

    labels = given.clean.label
    skill = rng.uniform(0.2, 0.95)
    clean = _answers(labels, 0.8 + 0.19 * skill, rng)
    rows = []
    for row in given.rows:
        found = clean
        if row.attack != "clean":
            attacked = np.where(clean == labels, _answers(labels, skill, rng), clean)
            found = np.where(row.linf == 0, clean, attacked)
            skill *= rng.uniform(0.8, 1.0)
        rows.append(replace(row, clean_prediction=clean, prediction=found))
    return Outcomes(tuple(rows))


def _answers(labels: Any, right: float, rng: np.random.Generator) -> Any:
    wrong = (labels + rng.integers(1, 10, len(labels))) % 10
    return np.where(rng.random(len(labels)) < right, labels, wrong)


def _audit(
    record: Record, outcomes: Outcomes, given: dict[str, Any], rng: np.random.Generator
) -> dict[str, Any]:
    """The audit's table: it breaks some of what the rows left."""
    table = {name: column.copy() for name, column in given.items()}
    table["randomised"][:] = False
    for number, rows in enumerate(rows_by_threat(outcomes, record.budgets()).values()):
        mine = table["audit"] == number
        at = table["position"][mine]
        under = np.logical_and.reduce([row.right[at] for row in rows])
        table["clean"][mine], table["rows"][mine] = outcomes.clean.right[at], under
        table["held"][mine] = under & (rng.random(len(at)) < 0.98)
    return table


def _agree(record: dict[str, Any], typed: Record, outcomes: Outcomes, audit: Any) -> None:
    """Make the record's numbers follow from its tables."""
    found = weaker(typed.rows, outcomes, typed.queries_only or ())
    for said, beaten in zip(record["rows"], found, strict=True):
        said["weaker"] = beaten and beaten.model_dump()
    own = {"clean_accuracy", "attacked_accuracy", "robust_accuracy", "worst_case_accuracy"}
    own |= {"audited_accuracy", "gained_by_masking"}
    others = [value for value in record["values"] if value["metric"] not in own]
    made = [*_accuracies(typed, outcomes), *_audited(record, typed, outcomes, audit)]
    record["values"] = [value.model_dump() for value in made] + others


def _accuracies(record: Record, outcomes: Outcomes) -> Iterator[Value]:
    known = record.budgets()
    clean = clean_score(outcomes).right
    yield share("clean_accuracy", clean.sum(), len(clean), {})
    for metric, robust in (("attacked_accuracy", False), ("robust_accuracy", True)):
        for score in scores(outcomes, known, when_clean_right=robust):
            yield share(metric, score.right.sum(), len(score.right), score.axes)
    for score in worst_cases(outcomes, known):
        yield share("worst_case_accuracy", score.right.sum(), len(score.right), score.axes)


def _audited(
    record: dict[str, Any], typed: Record, outcomes: Outcomes, table: Any
) -> Iterator[Value]:
    threats = rows_by_threat(outcomes, typed.budgets())
    for number, rows in enumerate(threats.values()):
        said, mine = record["audit"][number], table["audit"] == number
        at, held = table["position"][mine], table["held"][mine]
        yield audited_value(typed.audit[number], int(held.sum()), len(held))
        said["weak_attacks"] = []
        for row in rows:
            pair = paired(row.right[at], held)
            yield gained_value(row, pair)
            if pair.low > 0:
                ends = {"gained": pair.difference, "low": pair.low, "high": pair.high}
                weak = {"attack": row.attack, "access": row.access, "missed": None}
                said["weak_attacks"].append({**weak, **ends})
        _above_clean(said, typed, outcomes)


def _above_clean(said: dict[str, Any], record: Record, outcomes: Outcomes) -> None:
    clean = clean_score(outcomes).right
    ball = {row.attack for row in outcomes.rows if row.search == "ball"}
    found = (finding for finding in said["findings"] if finding["check"] == "above_clean")
    for row in scores(outcomes, record.budgets(), when_clean_right=False):
        if (row.norm, row.eps) == (said["norm"], said["eps"]) and row.attack in ball:
            pair, finding = paired(row.right, clean), next(found)
            finding |= {"value": pair.difference, "low": pair.low, "high": pair.high}
            finding["verdict"] = "fail" if pair.low > 0 else "pass"
            words = sentence("above_clean", pair.difference, pair.n, attack=row.attack)
            finding["sentence"] = words
    said["verdict"] = worst(finding["verdict"] for finding in said["findings"])
