"""ART's classes with robench's searches inside, on estimators that robench never made."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from robench.base.stats import paired
from robench.core.threat import Threat
from robench.search import GradientSearch, margin
from tests.plugins.attacks.digits import Digits

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from art.attacks import EvasionAttack, evasion
    from art.estimators.certification.randomized_smoothing import PyTorchRandomizedSmoothing
    from art.estimators.classification import BlackBoxClassifierNeuralNetwork, PyTorchClassifier

    from robench_attacks import art_attacks as ours

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

COUNT = 100
Array = NDArray[np.float32]


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    state = np.random.get_state()
    np.random.seed(0)
    yield
    np.random.set_state(state)


def stranger(net: nn.Module, loss: nn.Module | None = None, **options: Any) -> Any:
    """A classifier as ART's own examples make it."""
    return PyTorchClassifier(
        net,
        loss or nn.CrossEntropyLoss(),
        (1, 8, 8),
        10,
        **({"clip_values": (0.0, 1.0), "device_type": "cpu"} | options),
    )


class Grey(nn.Module):
    """Reads digits from grey images, so far from 0 and 1 that the pixel range never binds."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.net((images - 0.3) / 0.4)
        return logits


@pytest.fixture
def grey(digits: Digits) -> tuple[nn.Module, Array, NDArray[np.int64]]:
    images = 0.3 + 0.4 * digits.images[:COUNT]
    return Grey(digits.net), images.numpy(), digits.labels[:COUNT].numpy()


def wrongness(net: nn.Module, x: Array, y: NDArray[np.int64]) -> NDArray[np.float32]:
    with torch.no_grad():
        found: NDArray[np.float32] = margin(net(torch.from_numpy(x)), torch.from_numpy(y)).numpy()
    return found


FIXED = {
    "fgsm": (ours.ArtFGSM, evasion.FastGradientMethod, {}, GradientSearch(steps=1)),
    "bim": (
        ours.ArtBIM,
        evasion.BasicIterativeMethod,
        {"max_iter": 7, "verbose": False},
        GradientSearch(steps=7, step=1.4),
    ),
    "mim": (
        ours.ArtMIM,
        evasion.MomentumIterativeMethod,
        {"max_iter": 7, "decay": 0.8, "verbose": False},
        GradientSearch(steps=7, step=1.4, decay=0.8),
    ),
    "pgd": (
        ours.ArtPGD,
        evasion.ProjectedGradientDescentPyTorch,
        {"max_iter": 7, "num_random_init": 0, "verbose": False},
        GradientSearch(steps=7, step=1.4),
    ),
}
EPS = {"linf": 0.05, "l2": 0.25}
CASES = [(name, norm) for name in FIXED for norm in EPS if (name, norm) != ("bim", "l2")]


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_from_a_fixed_start_the_answers_are_arts(
    name: str, norm: str, grey: tuple[nn.Module, Array, NDArray[np.int64]]
) -> None:
    net, x, y = grey
    mine, arts, options, search = FIXED[name]
    options = options | {"eps": EPS[norm], "eps_step": EPS[norm] * 0.2, "batch_size": 40}
    if name != "bim":
        options["norm"] = np.inf if norm == "linf" else 2
    stock = arts(stranger(net), **options).generate(x, y)
    last = replace(search, best=False).run(
        net,
        torch.from_numpy(x),
        torch.from_numpy(y),
        Threat(norm, EPS[norm], grid=False),
        torch.Generator(),
    )
    same = np.isclose(last.numpy(), stock, atol=2e-5).reshape(COUNT, -1).all(1)
    # The sign of a gradient that is next to nothing is decided by rounding.
    assert same.mean() > 0.95
    candidates = mine(stranger(net), **options).generate(x, y)
    equal = np.isclose(candidates, stock, atol=2e-5).reshape(COUNT, -1).all(1)
    assert equal.mean() > 0.5
    # Where they differ, an earlier iterate of the same path was more wrong.
    assert (wrongness(net, candidates, y) >= wrongness(net, stock, y) - 1e-3)[same].all()


STRENGTH = {
    "pgd": (
        ours.ArtPGD,
        evasion.ProjectedGradientDescentPyTorch,
        {"eps": 0.08, "eps_step": 0.02, "max_iter": 8, "num_random_init": 1, "verbose": False},
    ),
    "pgd_l2": (
        ours.ArtPGD,
        evasion.ProjectedGradientDescentPyTorch,
        {
            "norm": 2,
            "eps": 0.6,
            "eps_step": 0.15,
            "max_iter": 8,
            "num_random_init": 2,
            "verbose": False,
        },
    ),
    "square": (
        ours.ArtSquare,
        evasion.SquareAttack,
        {"eps": 0.12, "max_iter": 150, "verbose": False},
    ),
    "cw": (
        ours.ArtCW,
        evasion.CarliniL2Method,
        {
            "binary_search_steps": 3,
            "max_iter": 6,
            "learning_rate": 0.05,
            "initial_const": 1.0,
            "batch_size": 200,
            "verbose": False,
        },
    ),
}
CW_BUDGET = 0.7


@pytest.mark.parametrize("name", STRENGTH)
def test_drawn_starts_and_other_searches_are_not_weaker_than_arts(
    name: str, digits: Digits
) -> None:
    mine, arts, options = STRENGTH[name]
    x, y = digits.images.numpy(), digits.labels.numpy()

    def right(attack: Any) -> NDArray[np.bool_]:
        found = attack(stranger(digits.net), **options).generate(x, y)
        assert found.shape == x.shape
        assert found.dtype == np.float32
        left = wrongness(digits.net, found, y) <= 0
        if name == "cw":
            left |= np.linalg.norm((found - x).reshape(len(x), -1), axis=1) > CW_BUDGET
        return np.asarray(left)

    left, stock = right(mine), right(arts)
    assert 0.02 < stock.mean() < 0.98, "these options cannot tell the two apart"
    compared = paired(left, stock)
    assert compared.low <= 0 or compared.p_value >= 0.05


def every(estimator: Any) -> list[Any]:
    quiet = {"verbose": False}
    return [
        ours.ArtFGSM(estimator, eps=0.1),
        ours.ArtBIM(estimator, eps=0.1, eps_step=0.02, max_iter=3, **quiet),
        ours.ArtMIM(estimator, eps=0.1, eps_step=0.02, max_iter=3, **quiet),
        ours.ArtPGD(estimator, eps=0.1, eps_step=0.02, max_iter=3, num_random_init=1, **quiet),
        ours.ArtCW(estimator, max_iter=3, binary_search_steps=2, batch_size=64, **quiet),
        ours.ArtSquare(estimator, eps=0.1, max_iter=20, **quiet),
        ours.ArtNormalNoise(estimator, eps=0.1),
        ours.ArtUniformNoise(estimator, eps=0.1),
    ]


@pytest.mark.parametrize("index", range(8))
def test_labels_may_be_integers_one_hot_or_left_out(index: int, digits: Digits) -> None:
    attack = every(stranger(digits.net))[index]
    x, y = digits.images[:12].numpy(), digits.labels[:12].numpy()
    found = []
    for labels in (y, y[:, None], np.eye(10, dtype=np.float32)[y], None):
        np.random.seed(3)
        found.append(attack.generate(x=x, y=labels))
    assert all(np.array_equal(found[0], other) for other in found)  # these images are right
    assert not np.array_equal(found[0], x)


def test_an_attack_stands_wherever_art_takes_one(digits: Digits) -> None:
    for attack in every(stranger(digits.net)):
        assert isinstance(attack, EvasionAttack)
        attack.set_params(batch_size=7)
        assert attack.batch_size == 7


@pytest.mark.parametrize("index", range(8))
def test_pixels_keep_the_estimators_own_range_and_preprocessing(index: int, digits: Digits) -> None:
    """The same network on pixels from -2 to 6, standardised by ART, is attacked alike."""
    x, y = digits.images[:12].numpy(), digits.labels[:12].numpy()
    wide = stranger(digits.net, clip_values=(-2.0, 6.0), preprocessing=(-2.0, 8.0))
    plain, scaled = every(stranger(digits.net))[index], every(wide)[index]
    if index < 4 or index > 4:
        scaled.set_params(eps=0.8)
    if index in (1, 2, 3):
        scaled.set_params(eps_step=0.16)
    if index == 4:
        scaled.set_params(learning_rate=0.08, initial_const=0.64)
    np.random.seed(3)
    expected = plain.generate(x, y)
    np.random.seed(3)
    found = scaled.generate(x * 8 - 2, y)
    close = np.isclose((found + 2) / 8, expected, atol=1e-4).reshape(12, -1).all(1)
    assert close.mean() > 0.8
    assert found.min() >= -2
    assert found.max() <= 6


def test_features_without_a_shape_of_images_are_searched_too() -> None:
    torch.manual_seed(0)
    net = nn.Linear(6, 3)
    estimator = PyTorchClassifier(
        net, nn.CrossEntropyLoss(), (6,), 3, clip_values=(0, 1), device_type="cpu"
    )
    x = np.random.rand(20, 6).astype(np.float32)
    y = estimator.predict(x).argmax(1)
    for attack in every(estimator)[:5]:
        found = attack.generate(x)
        assert found.shape == x.shape
        assert (wrongness(net, found, y) >= wrongness(net, x, y) - 1e-5).all()


def test_square_asks_any_classifier_for_its_predictions(digits: Digits) -> None:
    from sklearn.linear_model import LogisticRegression

    x, y = digits.images.numpy(), digits.labels.numpy()
    model = LogisticRegression(max_iter=300).fit(x.reshape(len(x), -1), y)
    estimator = BlackBoxClassifierNeuralNetwork(
        lambda pixels: model.predict_proba(pixels.reshape(len(pixels), -1)),
        (1, 8, 8),
        10,
        clip_values=(0.0, 1.0),
    )
    found = ours.ArtSquare(estimator, eps=0.2, max_iter=300, verbose=False).generate(x, y)
    assert np.abs(found - x).max() <= 0.2 + 1e-6
    assert (
        (estimator.predict(found).argmax(1) == y).mean()
        < 0.7
        < model.score(x.reshape(len(x), -1), y)
    )


def test_estimators_it_cannot_differentiate_are_refused_in_a_line(digits: Digits) -> None:
    x = digits.images[:2].numpy()
    smoothing = PyTorchRandomizedSmoothing(
        model=digits.net,
        loss=nn.CrossEntropyLoss(),
        input_shape=(1, 8, 8),
        nb_classes=10,
        clip_values=(0.0, 1.0),
        device_type="cpu",
        scale=0.1,
    )
    cases = [
        (smoothing, "expected a PyTorchClassifier .*, got PyTorchRandomizedSmoothing"),
        (stranger(digits.net, nn.MSELoss()), "loss CrossEntropyLoss on logits, got MSELoss"),
        (stranger(digits.net, clip_values=None), "two numbers for clip_values, got None"),
    ]
    for estimator, message in cases:
        with pytest.raises(ValueError, match=message):
            ours.ArtPGD(estimator, verbose=False).generate(x)


@pytest.mark.parametrize(
    ("attack", "options", "message"),
    [
        (ours.ArtPGD, {"targeted": True}, "expected no targeted"),
        (ours.ArtPGD, {"decay": 0.5}, "expected no decay"),
        (ours.ArtPGD, {"random_eps": True}, "expected no random_eps"),
        (ours.ArtPGD, {"norm": 1}, "expected norm to be np.inf or 2, got 1"),
        (ours.ArtFGSM, {"minimal": True}, "expected no minimal"),
        (ours.ArtCW, {"confidence": 1.0}, "expected no confidence"),
        (ours.ArtSquare, {"nb_restarts": 2}, "expected no nb_restarts"),
        (ours.ArtSquare, {"loss": lambda x, y: x}, "expected no loss or adv_criterion"),
        (
            ours.ArtFGSM,
            {"eps": np.full((1, 8, 8), 0.1), "eps_step": np.full((1, 8, 8), 0.1)},
            "expected one number for eps, got ndarray",
        ),
    ],
)
def test_options_that_the_search_has_not_are_refused(
    attack: Any, options: dict[str, Any], message: str, digits: Digits
) -> None:
    with pytest.raises(ValueError, match=message):
        attack(stranger(digits.net), **options).generate(digits.images[:2].numpy())


def test_a_mask_is_refused(digits: Digits) -> None:
    x = digits.images[:2].numpy()
    with pytest.raises(ValueError, match="expected no mask"):
        ours.ArtFGSM(stranger(digits.net)).generate(x, mask=np.ones_like(x))


def test_the_model_of_the_stranger_is_left_as_it_was(digits: Digits) -> None:
    net = copy.deepcopy(digits.net).train()
    net.zero_grad()
    attack = ours.ArtPGD(stranger(net), max_iter=2, verbose=False)
    attack.generate(digits.images[:4].numpy(), digits.labels[:4].numpy())
    assert net.training
    assert all(p.requires_grad and p.grad is None for p in net.parameters())
