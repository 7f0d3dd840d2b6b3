"""What the metrics of a run may read, what they may give, and what is served from the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import robench
from robench.core.outcomes import clean_score
from robench.plugin.registry import registry
from robench.records.store import read_outcomes
from robench.records.support.values import check_accuracies
from robench.run.config import Places
from tests.conftest import USUAL, blobs, tiny_net


@dataclass(frozen=True, kw_only=True)
class Near(robench.Attack):
    """Returns what its option says: the image, or one next to it."""

    search = "minimal"
    step: float = 0.0

    def run(self, twin: Any, images: Any, labels: Any, threat: Any, rng: Any) -> Any:
        """Candidates that a model may or may not get wrong."""
        return images + self.step


@dataclass(frozen=True, kw_only=True)
class Traced(robench.Attack):
    """Asks once as it traces the twin, and then unseen."""

    def run(self, twin: Any, images: Any, labels: Any, threat: Any, rng: Any) -> Any:
        """One step of the sign of the gradient, through what torch.jit made of the twin."""
        own = torch.jit.trace(twin, images[:2])  # type: ignore[no-untyped-call]
        leaf = images.clone().requires_grad_()
        nn.functional.cross_entropy(own(leaf), labels).backward()  # type: ignore[no-untyped-call]
        return images + threat.eps * leaf.grad.sign()


@dataclass(frozen=True, kw_only=True)
class Gauge(robench.Metric):
    """Measures what it was given."""

    act: Any = field(default=None, metadata={"plain": False})

    def measure(self, evidence: robench.Evidence) -> Any:
        """Whatever that is."""
        return self.act(evidence)


@pytest.fixture
def judged(tmp_path: Path) -> Callable[..., robench.Record]:
    """A run on a tiny network, all of them in one cache."""
    torch.manual_seed(0)
    data = robench.Data(blobs(120, 0), blobs(60, 1), ("a", "b", "c"), USUAL)
    net = tiny_net().eval()
    places = Places(results=tmp_path / "results", cache=tmp_path / "cache", threads=1)

    def run(attack: Any, metric: Any = "accuracy", model: nn.Module = net) -> robench.Record:
        given = {"attack": attack, "metric": metric, "audit": "off", "places": places}
        return robench.evaluate(model, data, **given)

    return run


def accuracies(record: robench.Record) -> list[tuple[Any, Any]]:
    values = [v for v in record.values if v.metric == "robust_accuracy"]
    return [(v.axes["attack"], v.axes["eps"]) for v in values]


def test_other_budgets_are_measured_anew(judged: Callable[..., robench.Record]) -> None:
    for eps in (0.5, 1.0):
        record = judged({"near": Near(eps=[eps])})
        assert accuracies(record) == [("near", eps), ("near", None)]


def test_equal_examples_of_another_row_are_measured_anew(
    judged: Callable[..., robench.Record],
) -> None:
    for name in ("near", "other"):
        record = judged({name: Near(eps=[0.5])})
        assert accuracies(record) == [(name, 0.5), (name, None)]


@pytest.mark.parametrize(
    ("eps", "numbers"),
    [
        (0.5, [0.5]),
        (1, [1.0]),
        ("8/255", [8 / 255]),
        ("strong", [USUAL.eps(USUAL.norm)]),
        (["weak", "8/255", 0.5], [USUAL.eps(USUAL.norm, "weak"), 8 / 255, 0.5]),
    ],
)
def test_a_minimum_norm_attack_reads_every_form_of_eps(
    eps: Any, numbers: list[float], judged: Callable[..., robench.Record]
) -> None:
    record = judged({"near": Near(eps=eps)})
    assert accuracies(record) == [("near", n) for n in [*numbers, None]]


def forge(evidence: Any) -> Iterator[robench.Value]:
    for row in evidence.outcomes.rows:
        row.prediction.flags.writeable = True
        row.prediction[:] = -1
    yield robench.share("own", 1, 2, {})


def test_a_metric_that_writes_into_outcomes_writes_into_its_own(
    judged: Callable[..., robench.Record], tmp_path: Path
) -> None:
    record = judged({"near": Near()}, {"forge": Gauge(act=forge), "accuracy": named("accuracy")})
    written = read_outcomes(tmp_path / "results" / record.id)
    clean = record.find("clean_accuracy")
    assert clean is not None
    assert clean.value == clean_score(written).value > 0
    assert all((row.prediction >= 0).all() for row in written.rows)


def named(name: str) -> Any:
    return registry().get("metric", name).make()


@pytest.mark.parametrize(
    "name",
    [
        *("clean_accuracy", "attacked_accuracy", "robust_accuracy", "worst_case_accuracy"),
        *("audited_accuracy", "gained_by_masking", "robust_accuracy_2"),
    ],
)
def test_no_other_metric_gives_a_value_that_reads_like_robenchs(
    name: str, judged: Callable[..., robench.Record]
) -> None:
    act = lambda e: [robench.share(name, 1, 1, {})]  # noqa: E731
    with pytest.raises(robench.PluginError, match=f"values of Gauge to have .* got '{name}'"):
        judged({"near": Near()}, Gauge(act=act))


@pytest.mark.parametrize("name", ["a\nb", "<b>x</b>", "", "a" * 81, "=1+1"])
def test_a_value_has_a_name_that_any_reader_can_show(
    name: str, judged: Callable[..., robench.Record]
) -> None:
    act = lambda e: [robench.share(name, 1, 1, {})]  # noqa: E731
    with pytest.raises(robench.PluginError, match="values of Gauge: expected a name of letters"):
        judged({"near": Near()}, Gauge(act=act))


@pytest.mark.parametrize(
    ("name", "table", "words"),
    [
        *[
            (name, {"a": [1]}, "tables of Gauge to have names of their own")
            for name in ("outcomes", "audit", "examples", "record", "model", "a/b", ".h", "", 3)
        ],
        ("own", {"a": [1], "b": [1, 2]}, "columns of one length in the table 'own' of Gauge"),
        ("own", {"a": [float("nan")]}, "Gauge failed: TypeError: expected finite numbers"),
        ("own", 3, "Gauge failed: TypeError"),
    ],
)
def test_a_metrics_table_has_a_name_of_its_own_and_can_be_kept(
    name: Any, table: Any, words: str, tmp_path: Path, judged: Callable[..., robench.Record]
) -> None:
    def act(evidence: Any) -> list[robench.Value]:
        evidence.tables[name] = table
        return []

    with pytest.raises(robench.PluginError, match=words):
        judged({"near": Near()}, Gauge(act=act))
    assert not (tmp_path / "results").exists()


def test_a_record_whose_value_reads_like_one_of_robenchs_is_refused(
    judged: Callable[..., robench.Record], tmp_path: Path
) -> None:
    record = judged({"near": Near()})
    outcomes = read_outcomes(tmp_path / "results" / record.id)
    check_accuracies(record, outcomes)
    more = (*record.values, robench.share("robust_accuracy_2", 1, 1, {}))
    with pytest.raises(robench.UserError, match="as robench's own, got robust_accuracy_2"):
        check_accuracies(record.model_copy(update={"values": more}), outcomes)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_what_torch_jit_traced_is_not_counted(judged: Callable[..., robench.Record]) -> None:
    (row,) = judged(Traced()).rows
    assert (row.message, row.gradients, row.queries) == ("", None, None)
