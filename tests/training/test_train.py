from __future__ import annotations

import random
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from robench.base.errors import ConfigError
from robench.base.machine import cpu_flags, fastest_precision
from robench.core.data import Data
from robench.training.augment import augment
from robench.training.checkpoint import Checkpoint, Moment
from robench.training.loop import Trainer, learning_rate
from robench.training.recipe import Recipe, TrainConfig
from tests.conftest import tiny_net

CPU = torch.device("cpu")


def loss(model: nn.Module, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
    noise = 0.05 * torch.randn(images.shape, generator=rng)
    return F.cross_entropy(model(images + noise), labels)


def fresh() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(*tiny_net()[:3], nn.Dropout(0.2), tiny_net()[3])


def weights(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


RECIPES = [
    Recipe(epochs=4, batch=30, lr=0.01, crop=1, flip=True),
    Recipe(epochs=4, batch=30, optimizer="sgd", lr=0.05, schedule="step", step_epochs=2, warmup=1),
]


def drawing(model: nn.Module, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
    """A loss that draws from every generator there is."""
    scale = 1 + 0.1 * random.random() + 0.1 * np.random.rand()
    return loss(model, images, labels, rng) * scale


@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.optimizer)
@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(stop=st.integers(2, 16))
def test_an_interrupted_training_ends_with_the_same_bits(
    recipe: Recipe, within: bool, stop: int, tiny_data: Data, tmp_path_factory: Any
) -> None:
    folder = tmp_path_factory.mktemp("checkpoints")
    whole = weights(Trainer(recipe, 3, CPU).fit(fresh(), tiny_data.train, drawing))
    calls = 0

    def failing(model: nn.Module, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == stop:
            raise KeyboardInterrupt
        return drawing(model, images, labels, rng)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("robench.training.checkpoint.SECONDS_BETWEEN", 0.0)
        patch.setattr("robench.training.checkpoint.SECONDS_WITHIN", 0.0 if within else 1e9)
        epoch, step = divmod(stop - 1, 4)
        at = f", step {step + 1}" if within and step else ""
        with pytest.raises(KeyboardInterrupt, match=f"^from epoch {epoch + 1}{at} of 4$"):
            Trainer(recipe, 3, CPU, folder).fit(fresh(), tiny_data.train, failing)
        resumed = Trainer(recipe, 3, CPU, folder).fit(fresh(), tiny_data.train, drawing)
    assert torch.equal(weights(resumed), whole)


def test_seeds_decide_and_fits_differ(tiny_data: Data) -> None:
    recipe = RECIPES[0]
    first = weights(Trainer(recipe, 0, CPU).fit(fresh(), tiny_data.train, loss))
    again = weights(Trainer(recipe, 0, CPU).fit(fresh(), tiny_data.train, loss))
    other = weights(Trainer(recipe, 1, CPU).fit(fresh(), tiny_data.train, loss))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    trainer = Trainer(recipe, 0, CPU)
    trainer.fit(fresh(), tiny_data.train, loss)
    second = weights(trainer.fit(fresh(), tiny_data.train, loss, epochs=4))
    assert not torch.equal(first, second), "a second fit draws from a stream of its own"


def test_fraction_runs_from_zero_to_one(tiny_data: Data) -> None:
    seen: list[float] = []
    trainer = Trainer(Recipe(epochs=2, batch=60), 0, CPU)

    def watching(model: nn.Module, images: Tensor, labels: Tensor, rng: Any) -> Tensor:
        seen.append(trainer.fraction)
        return loss(model, images, labels, rng)

    trainer.fit(fresh(), tiny_data.train, watching)
    assert seen == [0.0, 0.25, 0.5, 0.75]


def test_learning_rates_at_known_moments() -> None:
    cosine = Recipe(lr=1.0, epochs=10, schedule="cosine")
    assert [learning_rate(cosine, e) for e in (0, 5, 10)] == pytest.approx([1.0, 0.5, 0.0])
    step = Recipe(lr=1.0, epochs=90, schedule="step")
    assert [learning_rate(step, e) for e in (0, 29.9, 30, 89)] == pytest.approx([1, 1, 0.1, 0.01])
    rising = Recipe(lr=1.0, schedule="constant", warmup=2)
    assert [learning_rate(rising, e) for e in (0, 1, 2, 9)] == pytest.approx([0, 0.5, 1, 1])


@pytest.mark.parametrize("pad", ["zero", "reflect"])
def test_crops_are_shifts_of_the_padded_image(pad: str) -> None:
    images = torch.arange(2 * 3 * 5 * 5).float().view(2, 3, 5, 5) + 1
    mode = "constant" if pad == "zero" else "reflect"
    padded = F.pad(images, (2, 2, 2, 2), mode=mode)
    rng = torch.Generator().manual_seed(0)
    moved = {augment(images, Recipe(crop=2, pad=pad), rng)[0].sum().item() for _ in range(30)}
    assert len(moved) > 5
    shifts = {padded[0, :, r : r + 5, c : c + 5].sum().item() for r in range(5) for c in range(5)}
    assert moved <= shifts


def test_flips_mirror_about_half_of_the_images() -> None:
    images = torch.rand(400, 1, 2, 3, generator=torch.Generator().manual_seed(1))
    found = augment(images, Recipe(flip=True), torch.Generator().manual_seed(0))
    mirrored = (found == images.flip(3)).flatten(1).all(1)
    assert bool((mirrored | (found == images).flatten(1).all(1)).all())
    assert 150 < int(mirrored.sum()) < 250


def test_recipes_lay_given_over_model_over_data_set() -> None:
    recipe = TrainConfig(lr=0.5).recipe({"epochs": 3, "lr": 0.1}, {"epochs": 7})
    assert (recipe.epochs, recipe.lr) == (7, 0.5)
    with pytest.raises(ConfigError, match="fields of a recipe"):
        TrainConfig().recipe({"epoch": 3})


@pytest.mark.parametrize(
    ("option", "value"),
    [("epochs", 0), ("lr", -1.0), ("schedule", "linear"), ("pad", "wrap"), ("warmup", -1)],
)
def test_bad_recipes_are_refused(option: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"train\.{option}"):
        Recipe(**{option: value})


def test_no_folder_means_no_checkpoint() -> None:
    model = fresh()
    checkpoint = Checkpoint(None, "x")
    checkpoint.save(model, torch.optim.SGD(model.parameters(), 0.1), Moment(1))
    assert checkpoint.load(model, torch.optim.SGD(model.parameters(), 0.1)) == Moment()


@pytest.mark.parametrize(
    ("flags", "precision"),
    [
        ({"avx2", "amx_bf16"}, "bf16"),
        ({"asimd", "bf16"}, "bf16"),
        ({"avx2", "avx512f"}, "float32"),
    ],
)
def test_auto_is_the_precision_that_the_cpu_multiplies_natively(
    flags: set[str], precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("robench.base.machine.cpu_flags", lambda: flags)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    fastest_precision.cache_clear()
    chosen = TrainConfig(precision="auto")
    fastest_precision.cache_clear()
    assert chosen.precision == chosen.recipe().precision == precision


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx2\nbugs\t: spectre\n", {"fpu", "avx2"}),
        ("BogoMIPS\t: 50\nFeatures\t: fp asimd i8mm bf16\n", {"fp", "asimd", "i8mm", "bf16"}),
        ("processor\t: 0\n", set()),
    ],
)
def test_features_are_read_on_x86_and_arm(
    text: str, flags: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(text, encoding="utf-8")
    monkeypatch.setattr("robench.base.machine.CPUINFO", str(tmp_path / "cpuinfo"))
    assert cpu_flags() == flags


def test_changes_to_a_recipe_are_its_fields() -> None:
    changes = {field.name: field.type for field in fields(TrainConfig)}
    assert changes == {field.name: f"Optional[{field.type}]" for field in fields(Recipe)}


def test_this_machines_cpu_names_its_features() -> None:
    assert cpu_flags() or not Path("/proc/cpuinfo").exists()


@pytest.mark.parametrize("torn", [b"", b"PK\x03\x04 torn"])
def test_a_torn_checkpoint_is_thrown_away(
    torn: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "fit1.checkpoint").write_bytes(torn)
    model = fresh()
    before = weights(model)
    assert Checkpoint(tmp_path, "fit1").load(model, torch.optim.Adam(model.parameters())) == (0, 0)
    assert torch.equal(weights(model), before)
    assert capsys.readouterr().err.count("a damaged checkpoint is thrown away") == 1
    assert not list(tmp_path.iterdir())
