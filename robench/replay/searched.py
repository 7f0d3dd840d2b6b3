"""A sample of each audit repeated: the same searches on the model that was kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from robench.audit.checks import CHECKS, SEARCH_STEPS
from robench.audit.findings import findings_of
from robench.audit.trial import SystemTrial
from robench.base.errors import UserError
from robench.base.seeds import derive, seed_scope
from robench.base.stats import at_least
from robench.base.text import one_line
from robench.core.record import Audit, worst
from robench.core.threat import Threat, eps_text
from robench.replay.judged import audit_table, not_audited
from robench.replay.steps import ALPHA, NotDone, Refuted, TooLong, limited
from robench.replay.subject import Subject
from robench.run.audit_files import AUDIT_TABLE
from robench.run.examination import adaptive_attacks, sources

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from robench.core.data import Split

IMAGES = {"quick": 100, "full": 50}
"""Images on which an audit is repeated, at most."""
TRAINING = 300
"""Seconds that training another network may take: the record's author chose how long it trains."""
FEWEST = 50
"""Images below which an audit is too small to be repeated: LEAST of them would be much."""
FRESH = 0.05
"""Share of the images that an audit leaves which a second one may break: both search at random. On
published records it broke at most 0.04 of 25 images or more."""
LEAST = 5
"""Images that must fall before an audit is called invented."""


def searched_again(subject: Subject) -> str:
    """Whether the audit, repeated from another seed, leaves what the record says holds."""
    audits = subject.record.audit
    if not audits:
        raise NotDone(not_audited(subject))
    if not (subject.folder / f"{AUDIT_TABLE}.parquet").is_file():
        raise NotDone("the record does not say which images its audits leave")
    return "; ".join(_again(subject, number, audit) for number, audit in enumerate(audits))


def _again(subject: Subject, number: int, audit: Audit) -> str:
    where = f"{audit.norm} {eps_text(audit.eps)}"
    table = audit_table(subject, number)
    checked, held = table["checked"].astype(bool), table["held"].astype(bool)
    if checked.sum() < FEWEST:
        raise NotDone(f"{where}: an audit of {checked.sum()} images is too small")
    rows = subject.draw(f"audit {number}", checked.nonzero()[0], IMAGES[audit.level])
    aside = subject.draw(f"aside {number}", (held & ~checked).nonzero()[0], IMAGES[audit.level])
    with seed_scope(derive(subject.seed, "search", number)):
        networks, left_out = _networks(subject, audit)
        trial = _trial(subject, number, audit, _at(subject, table, rows), networks)
        findings = findings_of(trial, CHECKS[audit.level])
        others, fell = _aside(subject, number, audit, table, aside) if len(aside) else (0, 0)
    broken = int((held[rows] & ~trial.held.numpy()).sum()) + fell
    n = int(held[rows].sum()) + others
    if broken >= LEAST and at_least(broken, n, FRESH) < ALPHA / len(subject.record.audit):
        raise Refuted(
            f"{where}: a search breaks {broken} of {n} images that the record says no search and "
            "no row breaks"
        )
    if audit.verdict == "pass" and worst(found.verdict for found in findings) == "fail":
        first = next(found for found in findings if found.verdict == "fail")
        raise Refuted(f"{where}: the audit is recorded as passed, and fails now: {first.sentence}")
    return f"{where}: of {n} images that hold, {broken} break now{left_out}"


def _at(subject: Subject, table: Mapping[str, NDArray[Any]], rows: NDArray[np.int64]) -> Split:
    """The images of some of a table's rows."""
    return subject.test.take(torch.from_numpy(table["position"][rows].astype(np.int64)))


def _aside(
    subject: Subject,
    number: int,
    audit: Audit,
    table: Mapping[str, NDArray[Any]],
    rows: NDArray[np.int64],
) -> tuple[int, int]:
    """Of images that the checks left aside: how many are right, and how many of these fall."""
    trial = _trial(subject, number, audit, _at(subject, table, rows), {})
    if not (trial.thrifty and trial.randomised):
        trial.strongest("strongest on the twin", trial.system.twin)
    return int(trial.clean.sum()), int((trial.clean & ~trial.held).sum())


def _networks(subject: Subject, audit: Audit) -> tuple[dict[str, nn.Module], str]:
    """The other networks that a full audit attacks with, and in words those not made here."""
    made: dict[str, nn.Module] = {}
    missing = []
    for name, make in sources(subject.stages).items() if audit.level == "full" else ():
        try:
            with limited(TRAINING):
                made[name] = make()
        except TooLong:
            missing.append(f"; without the {name}, not trained in {TRAINING} seconds")
        except UserError as error:
            missing.append(f"; without the {name}: {one_line(error)[:200]}")
    return made, "".join(missing)


def _trial(
    subject: Subject, number: int, audit: Audit, test: Split, networks: Mapping[str, nn.Module]
) -> SystemTrial:
    """The audit's trial, with the other networks that could be made here."""
    stages = subject.stages
    threat = Threat(audit.norm, audit.eps, stages.config.threat.grid)
    full = audit.level == "full"
    white = {
        row.attack: stages.config.attack[row.attack]
        for row in subject.valid
        if (row.norm, row.eps, row.access) == (audit.norm, audit.eps, "white_box")
        and row.attack in stages.config.attack
        and subject.part(row).search == "ball"
    }
    return SystemTrial(
        replace(subject.system, deployed=subject.deployed),
        test.float_images(),
        test.labels,
        threat,
        derive(subject.seed, "searched", number),
        sources={name: partial(_given, network) for name, network in networks.items()},
        steps=SEARCH_STEPS[audit.level],
        thrifty=audit.level == "quick",
        attacks=white if full else {},
        adaptive=adaptive_attacks(stages, threat) if full else {},
    )


def _given(network: nn.Module) -> nn.Module:
    return network
