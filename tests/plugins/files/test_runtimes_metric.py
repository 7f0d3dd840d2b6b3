"""One file in several runtimes, as a metric sees it: toy answers known by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import robench
from robench import shipped
from robench.core.data import Split
from robench.core.record import FileInfo
from robench.core.threat import Threat
from robench.plugin.scenario import AdversarialExamples, Scenario
from robench.shipped import Contract, FileDeployed
from robench_files.runtimes import Runtimes

CLEAN = torch.tensor([10, 20, 30, 40], dtype=torch.uint8).view(4, 1, 1, 1)
LABELS = torch.tensor([0, 0, 1, 1])


class Above(robench.Session):
    """Class 1 above a grey value, else class 0."""

    def __init__(self, grey: float) -> None:
        self.grey = grey

    @property
    def inputs(self) -> tuple[robench.Port, ...]:
        return (robench.Port("images", (None, 1, 1, 1), "float32"),)

    @property
    def outputs(self) -> tuple[robench.Port, ...]:
        return (robench.Port("logits", (None, 2), "float32"),)

    def run(self, batch: Any, output: str) -> Any:
        level = batch.reshape(-1) * 255 - self.grey
        return np.stack([-level, level], 1).astype(np.float32)

    def describe(self) -> Mapping[str, str]:
        return {"version": "7"}


def in_runtime(name: str, grey: float) -> FileDeployed:
    about = {"format": "toy", "sha256": "0" * 64, "bytes": 1, "runtime": name, "version": "7"}
    session = Above(grey)
    return FileDeployed(b"x", session, Contract(), session.outputs[0], FileInfo(**about))


def evidence() -> Any:
    attacked = (CLEAN + torch.tensor([0, 8, 0, -8]).view(4, 1, 1, 1)).float() / 255
    row = Scenario("pgd", "ball", "white_box", Threat("linf", 0.1))
    return SimpleNamespace(
        finished=SimpleNamespace(deployed=in_runtime("mine", 25)),
        test=Split(CLEAN, LABELS),
        examples=((row, AdversarialExamples("h", attacked, 0.0)),),
    )


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def elsewhere(deployed: FileDeployed) -> Iterator[dict[str, FileDeployed | None]]:
        yield {"stricter": in_runtime("stricter", 35), "broken": None}

    monkeypatch.setattr(shipped, "elsewhere", elsewhere)


def test_agreement_and_accuracy_of_every_runtime(others: None) -> None:
    found = {
        (v.metric, v.axes["runtime"], v.axes.get("attack")): v.value
        for v in Runtimes().measure(evidence())
    }
    assert found == {
        ("runtime_accuracy", "mine", None): 1.0,
        ("runtime_accuracy", "mine", "pgd"): 0.75,
        ("runtime_agreement", "stricter", None): 0.75,
        ("runtime_accuracy", "stricter", None): 0.75,
        ("runtime_agreement", "stricter", "pgd"): 0.25,
        ("runtime_accuracy", "stricter", "pgd"): 0.5,
        ("runtime_agreement", "broken", None): None,
    }


def test_a_network_that_is_no_file_is_refused() -> None:
    nothing = SimpleNamespace(finished=SimpleNamespace(deployed=object()))
    with pytest.raises(robench.UserError, match="expected a file that ships for metric=runtimes"):
        list(Runtimes().measure(nothing))  # type: ignore[arg-type]


def test_another_version_of_a_runtime_is_another_result(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Runtimes().identity()
    monkeypatch.setattr("robench_files.runtimes.version", lambda name: "99")
    assert Runtimes().identity() != before
