"""Whole runs on tiny data: what the core promises of every attack, model and record."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import robench
from robench.base.errors import ConfigError, PluginError, UserError
from robench.collection.results import load
from robench.core.threat import ThreatConfig
from robench.records.arrays import row_name
from robench.records.store import EXAMPLES, read, read_outcomes
from robench.run.cache import Cache
from robench.run.config import Places, RunConfig, Transfer, WhiteBox
from robench.run.pipeline import run
from robench.run.stages import stages
from robench.training.recipe import TrainConfig
from tests.conftest import tiny_net


@dataclass(frozen=True, kw_only=True)
class Tiny(robench.Dataset):
    """The blobs of the fixtures."""

    def load(self, root: Path) -> robench.Data:
        from tests.conftest import USUAL, blobs

        return robench.Data(blobs(120, 0), blobs(60, 1), ("a", "b", "c"), USUAL)


@dataclass(frozen=True, kw_only=True)
class Net(robench.Model):
    """A tiny network; `outputs` lets a test break it."""

    recipe: ClassVar[dict[str, Any]] = {"epochs": 25, "lr": 0.01, "batch": 30}
    outputs: int = 3

    def build(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        net = tiny_net()
        if self.outputs != classes:
            net[3] = nn.Linear(4 * 36, self.outputs)
        return net


@dataclass(frozen=True, kw_only=True)
class Plain(robench.Defense):
    """No defense."""


@dataclass(frozen=True, kw_only=True)
class Other(robench.Defense):
    """A second defense that trains."""

    def loss(self, model: Any, images: Any, labels: Any, rng: Any) -> Any:
        return nn.functional.cross_entropy(model(images + 0.1), labels)


SMOOTHS = robench.registry().get("defense", "float_rs").make()


@dataclass(frozen=True, kw_only=True)
class Same(robench.Compressor):
    """No compression; counts how often it finished."""

    def finish(self, model: nn.Module, data: robench.Data) -> robench.System:
        return robench.System(robench.FloatDeployed(model), model)


@dataclass(frozen=True, kw_only=True)
class Sign(robench.Attack):
    """One signed gradient step, or a fault on purpose."""

    fault: str = ""

    def run(self, twin: Any, images: Any, labels: Any, threat: Any, rng: Any) -> Any:
        if self.fault == "raise":
            raise RuntimeError("the attack\nbroke")
        x = images.clone().requires_grad_()
        loss = nn.functional.cross_entropy(twin(x), labels)
        (gradient,) = torch.autograd.grad(loss, x)
        noise = torch.rand(images.shape, generator=rng) * 1e-3
        found = images + 3 * threat.eps * (gradient.sign() + noise)
        if self.fault == "nan":
            found[0, 0, 0, 0] = float("nan")
        return found[:, :, :3] if self.fault == "shape" else found


@dataclass(frozen=True, kw_only=True)
class Speckle(robench.Attack):
    """Noise."""

    search: ClassVar[Any] = "noise"

    def run(self, twin: Any, images: Any, labels: Any, threat: Any, rng: Any) -> Any:
        return images + threat.eps * torch.randn(images.shape, generator=rng)


@dataclass(frozen=True, kw_only=True)
class Share(robench.Metric):
    """The built-in accuracy's core, without the plugin."""

    def measure(self, evidence: robench.Evidence) -> Any:
        yield robench.Value(
            metric="clean_share", value=robench.clean_score(evidence.outcomes).value
        )
        for score in robench.scores(evidence.outcomes, {}, when_clean_right=True):
            axes = {"attack": score.attack, "access": score.access, "eps": score.eps}
            yield robench.Value(metric="robust_share", value=score.value, axes=axes)


def config(**changes: Any) -> RunConfig:
    parts: dict[str, Any] = {
        "dataset": {"tiny": Tiny()},
        "model": {"net": Net()},
        "compressor": {"none": Same()},
        "defense": {"none": Plain()},
        "attack": {"sign": Sign()},
        "metric": {"share": Share()},
    }
    return RunConfig(**{**parts, **changes})


def untimed(record: robench.Record) -> dict[str, Any]:
    """A record without its timings."""
    plain = record.model_dump()
    del plain["timings"]
    for part in (*plain["rows"], *plain["audit"]):
        del part["seconds"]
    return plain


def test_a_run_leaves_a_record_that_reads_back(places: Places) -> None:
    record, folder = run(config(), places, ["attack=sign"])
    assert folder == places.results / record.id
    assert read(folder) == record
    assert record.status == "ok"
    assert record.overrides == ("attack=sign",)
    clean = record.find("clean_share")
    robust = record.find("robust_share", attack="sign")
    assert clean is not None
    assert robust is not None
    assert clean.value is not None
    assert clean.value > 0.9
    assert robust.value is not None
    assert robust.value < clean.value
    outcomes = read_outcomes(folder).to_pandas()
    assert len(outcomes) == 2 * 60
    assert (outcomes[outcomes.attack == "sign"].linf <= 0.2 + 1e-6).all()
    assert record.agreement.equal_labels == 1.0


def test_two_runs_give_the_same_record(places: Places, tmp_path: Path) -> None:
    first, _ = run(config(), places)
    again = Places(results=tmp_path / "r2", cache=tmp_path / "c2", threads=1)
    second, _ = run(config(), again)
    assert untimed(first) == untimed(second)
    cached, _ = run(config(), places)
    assert untimed(cached) == untimed(first)


@pytest.mark.parametrize("fault", ["raise", "nan", "shape"])
def test_a_crash_is_invalid_never_robust(places: Places, fault: str) -> None:
    attacks = {"bad": Sign(fault=fault), "sign": Sign()}
    record, folder = run(config(attack=attacks), places)
    bad, good = record.rows
    assert (bad.status, good.status) == ("invalid", "ok")
    assert bad.message
    assert "\n" not in bad.message
    assert record.get("robust_share", attack="bad") is None
    assert record.find("robust_share", attack="sign") is not None
    outcomes = read_outcomes(folder).to_pandas()
    assert not outcomes[outcomes.attack == "bad"].valid.any()


def test_eps_lists_give_a_curve_that_falls(places: Places) -> None:
    threat = ThreatConfig(eps=[0.0, "weak", "strong"])
    record, _ = run(config(threat=threat), places)
    curve = [v.value for v in record.values if v.metric == "robust_share"]
    assert [row.eps for row in record.rows] == [0.0, 0.05, 0.2]
    clean = record.find("clean_share")
    assert clean is not None
    assert curve[0] == clean.value
    assert curve == sorted(curve, reverse=True)
    assert curve[2] < curve[0]


def test_noise_is_not_projected_and_has_no_access(places: Places) -> None:
    access = {"white_box": WhiteBox(), "transfer": Transfer()}
    record, folder = run(config(attack={"speckle": Speckle()}, access=access), places)
    (row,) = record.rows
    assert (row.access, row.eps) == ("none", 0.2)
    outcomes = read_outcomes(folder).to_pandas()
    assert outcomes[outcomes.attack == "speckle"].linf.max() > 0.2


def test_transfer_makes_examples_on_another_seed(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    from robench.plugin.registry import Choice, registry
    from robench.run import transfer

    known = registry()
    for kind, component in (("defense", Plain), ("compressor", Same)):
        choice = Choice(kind, "none", component, "t", "t", "0")
        monkeypatch.setitem(known.choices[kind], "none", choice)
    access = {"white_box": WhiteBox(), "transfer": Transfer()}
    record, folder = run(config(access=access), places)
    assert [row.access for row in record.rows] == ["white_box", "transfer"]
    with np.load(folder / EXAMPLES) as arrays:
        assert len(arrays[row_name(0)]), "the target's own examples break something"
        assert "transfer" in {row.access for row in read_outcomes(folder).attacked}
    assert len(list(places.cache.glob("train/*/*/manifest.json"))) == 2
    assert transfer.source(config(), Transfer()).seed == transfer.SEED_STEP
    assert transfer.source(config(), Transfer(source={"seed": 5})).seed == 5


def test_a_model_at_chance_is_reported_and_claims_nothing(places: Places) -> None:
    record, _ = run(config(train=TrainConfig(epochs=1, lr=1e-9)), places)
    assert record.status == "at_chance"
    assert {row.status for row in record.rows} == {"at_chance"}


def test_images_takes_the_same_stratified_subset_for_all_rows(places: Places) -> None:
    record, folder = run(config(images=15), places)
    outcomes = read_outcomes(folder).to_pandas()
    assert record.data.images == 15
    parts = [part for _, part in outcomes.groupby("attack")]
    assert all(set(part.image) == set(parts[0].image) for part in parts)
    assert parts[0].label.value_counts().tolist() == [5, 5, 5]


def test_a_wrong_output_shape_is_refused_before_training(places: Places) -> None:
    with pytest.raises(PluginError, match=r"expected logits of shape \(2, 3\)"):
        run(config(model={"net": Net(outputs=5)}), places)
    assert not places.results.exists()


@pytest.mark.parametrize(
    ("answer", "got"),
    [
        (lambda logits: None, "NoneType"),
        (lambda logits: (logits,), "tuple"),
        (lambda logits: {"logits": logits}, "dict"),
        (lambda logits: logits.detach().numpy(), "ndarray"),
        (lambda logits: logits.to_sparse(), "torch.sparse_coo"),
    ],
)
def test_what_is_no_tensor_of_logits_is_refused_before_training(
    answer: Any, got: str, places: Places, tiny_data: robench.Data
) -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))

        def forward(self, images: Any) -> Any:
            return answer(self.inner(images))

    with pytest.raises(PluginError, match=f"dense tensor of logits .* got {got}"):
        robench.evaluate(Odd(), tiny_data, places=places)
    assert not places.results.exists()


def test_training_that_diverges_is_said(places: Places) -> None:
    with pytest.raises(UserError, match=r"lower train\.lr"):
        run(config(train=TrainConfig(optimizer="sgd", lr=1e30)), places)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"defense": {"a": Other(), "b": Other()}}, r"leave one out, or .* -m defense=a,b"),
        ({"defense": {"a": Other(), "float_rs": SMOOTHS}}, "set defense.float_rs.train_sigma=0,"),
        ({"defense": {"none": Plain(), "b": Other()}}, "defense=none alone"),
        ({"defense": {}}, "use defense=none"),
        ({"model": {"a": Net(), "b": Net()}}, "use -m model=a,b for a run each"),
        ({"images": 0}, "expected images to be a whole number >= 1, got 0"),
        ({"images": "12"}, "expected images to be a whole number >= 1, got '12'"),
        ({"images": 2.5}, "expected images to be a whole number >= 1, got 2.5"),
        ({"seed": "x"}, "expected seed to be a whole number from 0 to 9007199254740991, got 'x'"),
        ({"seed": -1}, "expected seed to be a whole number from 0 to 9007199254740991, got -1"),
        ({"seed": True}, "expected seed to be a whole number from 0 to 9007199254740991, got True"),
        ({"access": {}}, "expected access"),
    ],
)
def test_configurations_that_cannot_run_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(**changes)


def test_results_load_as_one_frame(places: Places) -> None:
    run(config(), places)
    run(config(seed=1), places)
    frame = load(places.results)
    assert isinstance(frame, pd.DataFrame)
    assert set(frame.seed) == {0, 1}
    assert set(frame[frame.metric == "robust_share"].attack) == {"sign"}


def test_a_failed_write_leaves_nothing(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("robench.records.store.write_outcomes_file", full)
    with pytest.raises(UserError, match="set results= to another folder"):
        run(config(), places)
    assert list(places.results.iterdir()) == []


def test_the_whole_configuration_stands_in_the_record(places: Places) -> None:
    record, folder = run(config(threat=ThreatConfig(eps="4/255")), places)
    stored = json.loads((folder / "record.json").read_text())
    assert stored["config"] == config(threat=ThreatConfig(eps="4/255")).plain()
    assert record.id == config(threat=ThreatConfig(eps="4/255")).id != config().id
    assert stored["provenance"]["threads"] == 1


class Shaky(nn.Module):
    """A network that answers at random, to see that nothing is taken for certain."""

    def __init__(self) -> None:
        super().__init__()
        self.net = tiny_net()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.net(images) + torch.randn(len(images), 3)


def test_a_randomised_model_still_gives_the_same_record_for_a_seed(
    tiny_data: robench.Data, trained_net: nn.Module, places: Places, tmp_path: Path
) -> None:
    shaky = Shaky()
    shaky.net = trained_net
    parts = {
        "attack": {"sign": Sign()},
        "metric": {"share": Share()},
        "compressor": {"none": Same()},
    }
    first = robench.evaluate(shaky, tiny_data, places=places, defense={"none": Plain()}, **parts)
    again = Places(results=tmp_path / "r2", cache=tmp_path / "c2", threads=1)
    second = robench.evaluate(shaky, tiny_data, places=again, defense={"none": Plain()}, **parts)
    assert untimed(first) == untimed(second)


def test_the_order_of_defenses_is_part_of_the_id() -> None:
    one, two = Plain(), Other()
    first = config(defense={"a": one, "b": two})
    second = config(defense={"b": two, "a": one})
    assert list(first.plain()["defense"]) == ["a", "b"]
    assert first.id != second.id


@dataclass(frozen=True, kw_only=True)
class Zeroes(Same):
    """Prepares training: the first layer starts at zero."""

    def prepare(self, model: nn.Module, shape: tuple[int, int, int]) -> nn.Module:
        with torch.no_grad():
            next(model.parameters()).zero_()
        return model


@dataclass(frozen=True, kw_only=True)
class Unused(Other):
    """Has a loss, and says that its options do not train."""

    changes_training = False


@pytest.mark.parametrize(
    "changes",
    [{"compressor": {"none": Zeroes()}}, {"defense": {"b": Other()}}],
    ids=["prepare", "loss"],
)
def test_what_decides_training_names_its_weights_by_itself(
    places: Places, changes: dict[str, Any]
) -> None:
    plain, other = (stages(config(**c), places, Cache(places.cache)) for c in ({}, changes))
    assert plain.train_key != other.train_key
    assert plain.weights.hash != other.weights.hash


def test_a_loss_that_is_not_asked_for_does_not_train(places: Places) -> None:
    plain = stages(config(), places, Cache(places.cache))
    other = stages(config(defense={"b": Unused()}), places, Cache(places.cache))
    assert plain.train_key == other.train_key
    assert plain.weights.hash == other.weights.hash
