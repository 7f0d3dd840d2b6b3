"""A forger who knows the format: tells one lie and makes the rest of a record agree with it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from robench.base.hashing import digest, file_hash
from robench.base.stats import paired
from robench.core.outcomes import (
    CLEAN,
    COLUMNS,
    Outcomes,
    clean_score,
    rows_by_threat,
    scores,
    worst_cases,
)
from robench.core.record import Record, Value, run_id, share, worst
from robench.core.sentences import sentence
from robench.records.protocol import protocol, settings
from robench.records.store import OUTCOMES, RECORD
from robench.records.tables import read_outcomes_file
from robench.records.weaker import weaker

FOLLOWING = ("clean_accuracy", "attacked_accuracy", "robust_accuracy", "worst_case_accuracy")
AUDITED = ("audited_accuracy", "gained_by_masking")


class Forgery:
    """A copy of a record: change `record`, `outcomes` and `audit`, then `seal` or `agree`."""

    def __init__(self, good: Path, folder: Path) -> None:
        shutil.copytree(good, folder)
        self.folder = folder
        self.record: dict[str, Any] = json.loads((folder / RECORD).read_text())
        self.outcomes = pd.read_parquet(folder / OUTCOMES).astype(COLUMNS)
        self.audit = self._table("audit")
        self.certificates = self._table("certificates")
        self._before = {name: frame.copy() for name, frame in self._frames()}

    def _frames(self) -> Iterator[tuple[str, pd.DataFrame]]:
        yield OUTCOMES, self.outcomes
        for name, frame in (("audit", self.audit), ("certificates", self.certificates)):
            if frame is not None:
                yield f"{name}.parquet", frame

    def _table(self, name: str) -> pd.DataFrame | None:
        path = self.folder / f"{name}.parquet"
        return pd.read_parquet(path) if path.is_file() else None

    # -- to lie with ---------------------------------------------------------------------------

    def set(self, path: str, value: Any) -> None:
        """Change one place of the record, given as `values.0.low`."""
        place: Any = self.record
        *before, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        for part in before:
            place = place[part]
        place[last] = value

    def values(self, metric: str, **axes: Any) -> list[dict[str, Any]]:
        """The record's values of a metric whose axes contain the given ones."""
        return [
            value
            for value in self.record["values"]
            if value["metric"] == metric and axes.items() <= value["axes"].items()
        ]

    def drop(self, metric: str, **axes: Any) -> None:
        """Leave values out."""
        gone = self.values(metric, **axes)
        self.record["values"] = [value for value in self.record["values"] if value not in gone]

    def of(self, attack: str) -> Any:
        """Which lines of the outcomes belong to an attack."""
        return self.outcomes.attack == attack

    # -- to make it agree ----------------------------------------------------------------------

    def seal(self, *, name: bool = True) -> None:
        """Write the files; `name` says whether id, protocol and digests are made anew."""
        for file, frame in self._frames():
            if not frame.equals(self._before[file]):
                frame.to_parquet(self.folder / file, index=False)
                self.record["files"][file] = file_hash(self.folder / file)
        if name:
            self._name()
        (self.folder / RECORD).write_text(json.dumps(self.record))

    def name_again(self) -> None:
        """Id, protocol and digests, of files that another hand has changed."""
        self._name()
        (self.folder / RECORD).write_text(json.dumps(self.record))

    def _name(self) -> None:
        self.record["id"] = run_id(self.record["config"])
        record = Record.model_validate(self.record)
        known = settings(record.rows, record.config, record.provenance.components)
        self.record["protocol"] = protocol(record.data, record.rows, known)
        files = {path.name: file_hash(path) for path in self.folder.iterdir()}
        self.record["files"] = {n: files[n] for n in self.record["files"] if n in files}

    def agree(self) -> None:
        """Make all numbers follow from the outcomes and the audit's table, then seal."""
        self.seal()
        outcomes = read_outcomes_file(self.folder / OUTCOMES)
        self.record["data"]["subset"] = digest(outcomes.clean.image.tolist())
        record = Record.model_validate(self.record)
        others = [v for v in record.values if v.metric not in (*FOLLOWING, *AUDITED)]
        made = [*_accuracies(record, outcomes), *self._audits(record, outcomes), *others]
        self.record["values"] = [value.model_dump() for value in made]
        found = weaker(record.rows, outcomes, record.queries_only or ())
        for said, beaten in zip(self.record["rows"], found, strict=True):
            said["weaker"] = beaten and beaten.model_dump()
        self.seal()

    def _audits(self, record: Record, outcomes: Outcomes) -> Iterator[Value]:
        threats = rows_by_threat(outcomes, record.budgets())
        for number, ((norm, eps), rows) in enumerate(threats.items()):
            if number >= len(record.audit) or self.audit is None:
                return
            table, said = self.audit[self.audit.audit == number], self.record["audit"][number]
            at, held = table.position.to_numpy(), table.held.to_numpy()
            yield share("audited_accuracy", held.sum(), len(held), {"norm": norm, "eps": eps})
            said["weak_attacks"] = []
            for row in rows:
                pair = paired(row.right[at], held)
                ends = {"low": pair.low, "high": pair.high}
                yield Value(
                    metric="gained_by_masking",
                    value=pair.difference,
                    n=pair.n,
                    unit="share",
                    better="lower",
                    axes=row.axes,
                    **ends,
                )
                if pair.low > 0:
                    weak = {"attack": row.attack, "access": row.access, "missed": None, **ends}
                    said["weak_attacks"].append({**weak, "gained": pair.difference})
            _above_clean(said, record, outcomes)


def _above_clean(said: dict[str, Any], record: Record, outcomes: Outcomes) -> None:
    clean = clean_score(outcomes).right
    found = (finding for finding in said["findings"] if finding["check"] == "above_clean")
    for row in scores(outcomes, record.budgets(), when_clean_right=False):
        search = next(one.search for one in outcomes.rows if one.attack == row.attack)
        if (row.norm, row.eps) == (said["norm"], said["eps"]) and search == "ball":
            pair, finding = paired(row.right, clean), next(found)
            finding |= {"value": pair.difference, "low": pair.low, "high": pair.high}
            finding["verdict"] = "fail" if pair.low > 0 else "pass"
            finding["sentence"] = sentence(
                "above_clean", pair.difference, pair.n, attack=row.attack
            )
    said["verdict"] = worst(finding["verdict"] for finding in said["findings"])


def _accuracies(record: Record, outcomes: Outcomes) -> Iterator[Value]:
    known = record.budgets()
    clean = clean_score(outcomes).right
    yield share("clean_accuracy", clean.sum(), len(clean), {})
    for metric, robust in (("attacked_accuracy", False), ("robust_accuracy", True)):
        for score in scores(outcomes, known, when_clean_right=robust):
            yield share(metric, score.right.sum(), len(score.right), score.axes)
    for score in worst_cases(outcomes, known):
        yield share("worst_case_accuracy", score.right.sum(), len(score.right), score.axes)


def perfect(forgery: Forgery) -> None:
    """Nothing was attacked: every example is the clean image, every answer the clean one."""
    attacked = forgery.outcomes.attack != CLEAN
    forgery.outcomes.loc[attacked, ["linf", "l2"]] = 0.0
    forgery.outcomes["prediction"] = forgery.outcomes["clean_prediction"]
    if forgery.audit is not None:
        right = (forgery.outcomes.clean_prediction == forgery.outcomes.label).to_numpy()
        clean = np.tile(right[: forgery.record["data"]["images"]], 1)
        for name in ("clean", "rows", "held"):
            forgery.audit[name] = clean[forgery.audit.position.to_numpy()]
    for audit in forgery.record["audit"]:
        own = [one for one in audit["findings"] if one["check"] in ("noise", "above_clean")]
        for finding in own:
            finding |= {"value": 0.0, "low": 0.0, "high": 0.0, "threshold": 0.0, "verdict": "pass"}
            if finding["check"] == "noise":
                finding["sentence"] = sentence("noise", 0.0, finding["n"])
        audit["findings"] = own
    forgery.agree()
