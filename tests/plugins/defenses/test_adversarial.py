from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from robench.base.errors import ConfigError
from robench.core.data import Data
from robench.core.threat import Threat
from robench.plugin.components import Defense
from robench.search import GradientSearch
from robench.training.loop import Trainer
from robench.training.recipe import Recipe
from robench_defenses.adversarial import AdversarialTraining
from robench_defenses.gaussian import GaussianTraining
from robench_defenses.none import NoDefense
from tests.conftest import tiny_net

Loss = Callable[[nn.Module, Tensor, Tensor, torch.Generator], Tensor]


def fresh_net() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return tiny_net()


def fit(defense: Defense, data: Data, epochs: int = 12) -> nn.Module:
    trainer = Trainer(Recipe(epochs=epochs, batch=30, lr=0.01), 0, torch.device("cpu"))
    return defense.fit(fresh_net(), data, trainer)


def robust_accuracy(net: nn.Module, data: Data, eps: float) -> float:
    images, labels = data.test.float_images(), data.test.labels
    search = GradientSearch(steps=20, step=2.5, random_start=True)
    rng = torch.Generator().manual_seed(0)
    found = search.run(net, images, labels, Threat("linf", eps), rng)
    return (net(found).argmax(1) == labels).float().mean().item()


class Recorder:
    """Stands in for the trainer: hands the loss out, at a stated share of the training."""

    def __init__(self, fraction: float) -> None:
        self.fraction = fraction
        self.loss: Loss | None = None

    def fit(self, model: nn.Module, split: object, loss: Loss) -> nn.Module:
        self.loss = loss
        return model


class Spy(nn.Module):
    """Remembers in which mode it ran and on what."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.calls = fresh_net(), list[tuple[bool, Tensor]]()

    def forward(self, images: Tensor) -> Tensor:
        self.calls.append((self.training, images.detach()))
        return cast(Tensor, self.net(images))


def spy_on(defense: AdversarialTraining, data: Data, fraction: float) -> tuple[Spy, Tensor, Tensor]:
    """Call the loss once: the spy, the clean images and the loss."""
    recorder, spy = Recorder(fraction), Spy()
    defense.fit(spy, data, cast(Any, recorder))
    assert recorder.loss is not None
    images = data.train.float_images()[:16]
    value = recorder.loss(spy, images, data.train.labels[:16], torch.Generator().manual_seed(0))
    return spy, images, value


@pytest.mark.parametrize("trades", [None, 6.0])
def test_adversarial_training_makes_robust_what_plain_training_does_not(
    tiny_data: Data, trades: float | None
) -> None:
    eps = 0.14
    plain = fit(NoDefense(), tiny_data)
    robust = fit(AdversarialTraining(eps=eps, trades=trades), tiny_data)
    assert robust_accuracy(robust, tiny_data, 0.0) >= 0.95
    assert robust_accuracy(plain, tiny_data, eps) <= 0.3
    assert robust_accuracy(robust, tiny_data, eps) >= 0.8


def test_the_search_runs_in_eval_mode_and_the_step_in_train_mode(tiny_data: Data) -> None:
    spy, images, value = spy_on(AdversarialTraining(steps=3, warmup=0), tiny_data, 0.5)
    assert [training for training, _ in spy.calls] == [False, False, False, True]
    assert (spy.calls[-1][1] - images).abs().max().item() == pytest.approx(0.2)
    value.backward()
    assert all(parameter.grad is not None for parameter in spy.parameters())


@pytest.mark.parametrize(("fraction", "share"), [(0.0, 0.0), (0.1, 0.5), (0.2, 1.0), (0.9, 1.0)])
def test_eps_rises_over_the_warm_up(tiny_data: Data, fraction: float, share: float) -> None:
    spy, images, _ = spy_on(AdversarialTraining(eps=0.1), tiny_data, fraction)
    assert (spy.calls[-1][1] - images).abs().max().item() == pytest.approx(0.1 * share, abs=1e-6)


@pytest.mark.parametrize(
    ("options", "size"),
    [({}, 0.2), ({"eps": "weak"}, 0.05), ({"eps": "8/255"}, 8 / 255), ({"norm": "l2"}, 1.0)],
)
def test_eps_comes_from_the_option_or_the_data_set(
    tiny_data: Data, options: dict[str, Any], size: float
) -> None:
    defense = AdversarialTraining(warmup=0, **options)
    spy, images, _ = spy_on(defense, tiny_data, 0.0)
    delta = (spy.calls[-1][1] - images).flatten(1)
    length = delta.norm(dim=1) if defense.norm == "l2" else delta.abs().amax(1)
    assert length.max().item() == pytest.approx(size, rel=1e-3)


def test_trades_adds_the_divergence_to_the_clean_loss(tiny_data: Data) -> None:
    labels = tiny_data.train.labels[:16]
    spy, images, value = spy_on(AdversarialTraining(trades=2.0, warmup=0), tiny_data, 0.0)
    clean, robust = spy.net(images), spy.net(spy.calls[-1][1])
    gap = nn.functional.kl_div(robust.log_softmax(1), clean.softmax(1), reduction="batchmean")
    assert gap > 0
    expected = nn.functional.cross_entropy(clean, labels) + 2 * gap
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)


def test_gaussian_training_sees_noise_of_the_stated_size(tiny_data: Data) -> None:
    spy, images = Spy(), torch.full((64, 1, 6, 6), 0.5)
    labels, rng = torch.zeros(64, dtype=torch.int64), torch.Generator().manual_seed(0)
    GaussianTraining(sigma=0.25).loss(spy, images, labels, rng)
    noise = spy.calls[0][1] - images
    assert noise.std().item() == pytest.approx(0.25, rel=0.05)
    assert abs(noise.mean().item()) < 0.02


def test_training_defenses_say_so() -> None:
    assert not NoDefense().changes_training
    assert GaussianTraining().changes_training
    assert AdversarialTraining().changes_training


@pytest.mark.parametrize(
    ("component", "options", "message"),
    [
        (AdversarialTraining, {"steps": 0}, "expected steps > 0"),
        (AdversarialTraining, {"eps": -1}, "above 0"),
        (AdversarialTraining, {"eps": [0.1, 0.2]}, "expected one eps"),
        (AdversarialTraining, {"norm": "l7"}, "expected norm"),
        (AdversarialTraining, {"warmup": 1.5}, "expected warmup in"),
        (AdversarialTraining, {"trades": 0.0}, "expected trades > 0"),
        (GaussianTraining, {"sigma": 1.5}, "expected sigma in"),
    ],
)
def test_bad_options_are_refused(
    component: type[Defense], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        component(**options)


def test_training_against_nothing_is_refused(tiny_data: Data) -> None:
    with pytest.raises(ConfigError, match="expected eps > 0 to train with"):
        fit(AdversarialTraining(eps=0), tiny_data)
