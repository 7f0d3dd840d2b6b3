"""What a run measures of a shipped file beside its accuracies: ties, further twins, its parent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from robench.base.stats import paired
from robench.core.batches import HELD, parts
from robench.core.outcomes import CLEAN, RowOutcomes
from robench.core.record import Value, share
from robench.plugin.scenario import Scenario
from robench.records.protocol import PARENT
from robench.records.support.files import (
    PARENT_TABLE,
    axes_of,
    differences,
    gap,
    robust,
)
from robench.records.support.values import TIES, TIES_RIGHT, TIES_WRONG, TWINS
from robench.run import attacks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from robench.plugin.scenario import AdversarialExamples
    from robench.run.evidence import RunEvidence
    from robench.run.stages import Stages


def file_values(evidence: RunEvidence) -> tuple[Value, ...]:
    """The values of a file; none of a network that robench made.

    What its float parent answers becomes a table of the evidence.
    """
    if evidence.stages.facts is None:
        return ()
    return (*_ties(evidence), *_twins(evidence), *_parent(evidence))


def _rows(evidence: RunEvidence) -> Iterator[tuple[RowOutcomes, Scenario, AdversarialExamples]]:
    """The rows of searches in a ball, with their examples."""
    for scenario, examples in evidence.examples:
        if scenario.search == "ball":
            place = scenario.attack, scenario.access, scenario.threat.norm, scenario.threat.eps
            yield evidence.outcomes.find(*place), scenario, examples


# -- ties ------------------------------------------------------------------------------------------


def _ties(evidence: RunEvidence) -> Iterator[Value]:
    """How often the runtime's choice among equal logits decides, and what if it chose otherwise.

    Of a file that no defense wraps, in a runtime that gives logits.
    """
    stages = evidence.stages
    if stages.system is not stages.finished or not hasattr(stages.deployed, "logits"):
        return
    clean = _answers(stages, attacks.clean(stages))
    yield from _readings(evidence.outcomes.clean, clean, clean)
    for row, _, examples in _rows(evidence):
        yield from _readings(row, _answers(stages, examples), clean)


def _answers(stages: Stages, examples: AdversarialExamples) -> dict[str, NDArray[np.bool_]]:
    """Per image whether the largest logits are equal, and whether the label's is among them."""
    labels = stages.test.labels

    def make() -> dict[str, Any]:
        asked = (examples.take(at) for at in parts(len(labels), stages.data.shape, HELD))
        logits = torch.cat([stages.deployed.logits(images) for images in asked])
        largest = logits == logits.max(1, keepdim=True).values
        mine = largest[torch.arange(len(labels)), labels]
        return {"tied": (largest.sum(1) > 1).tolist(), "among": mine.tolist()}

    inputs = {"asks": "ties", "examples": examples.hash, **stages.environment}
    stored = stages.cached("judge", inputs, make)
    return {name: np.array(column, dtype=bool) for name, column in stored.items()}


def _readings(
    row: RowOutcomes, here: dict[str, NDArray[np.bool_]], clean: dict[str, NDArray[np.bool_]]
) -> Iterator[Value]:
    axes, n = axes_of(row), len(row)
    yield share(TIES, int(here["tied"].sum()), n, axes, better="lower")
    right = here["among"] & clean["among"]
    wrong = right & ~here["tied"] & ~clean["tied"]
    if not np.array_equal(right, wrong):
        yield share(TIES_RIGHT, int(right.sum()), n, axes)
        yield share(TIES_WRONG, int(wrong.sum()), n, axes)


# -- twins -----------------------------------------------------------------------------------------


def _twins(evidence: RunEvidence) -> Iterator[Value]:
    """What further twins broke of what the faithful one left of each row."""
    for row, _, examples in _rows(evidence):
        if examples.by is not None:
            after = robust(row)
            before = after | ((examples.by.numpy() > 0) & row.clean_right & ~row.right)
            yield gap(TWINS, paired(before, after), row)


# -- parent ----------------------------------------------------------------------------------------


def _parent(evidence: RunEvidence) -> Iterator[Value]:
    parent = evidence.stages.parent
    if parent is None:
        return
    clean = attacks.judge(parent, attacks.clean(parent)).labels
    blocks = [_block(CLEAN, "", np.nan, evidence, clean)]
    for row, scenario, examples in _rows(evidence):
        if row.access == PARENT:
            labels = attacks.judge(parent, examples, scenario).labels
            blocks.append(_block(row.attack, row.norm, row.eps, evidence, labels))
    table = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    evidence.tables[PARENT_TABLE] = table
    yield from differences(evidence.outcomes, table)


def _block(
    attack: str, norm: str, eps: float | None, evidence: RunEvidence, labels: torch.Tensor
) -> dict[str, NDArray[Any]]:
    """What the parent answers to the judged images under one attack, as columns."""
    n = len(labels)
    return {
        "attack": np.full(n, attack),
        "norm": np.full(n, norm),
        "eps": np.full(n, eps, dtype=np.float64),
        "image": evidence.outcomes.clean.image,
        "prediction": labels.numpy(),
    }
