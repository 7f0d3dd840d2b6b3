from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from robench import ConfigError
from robench_defenses.mulaw import MuLaw, map_weights, unmap_weights


def three_layers() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 8), nn.ReLU(), nn.Linear(8, 3)
    )


def test_known_values_of_the_map() -> None:
    weights = torch.tensor([2.0, -1.0, 0.0, 0.5])
    expected = [2 * math.log(1 + 255 * abs(w) / 2) / math.log(256) for w in (2, 1, 0, 0.5)]
    expected[1] *= -1
    assert map_weights(weights, 255.0).tolist() == pytest.approx(expected)


@settings(deadline=None, max_examples=50)
@given(
    weights=st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=40),
    mu=st.floats(1e-3, 1e5),
)
def test_round_trip_and_order(weights: list[float], mu: float) -> None:
    w = torch.tensor(weights, dtype=torch.float64)
    mapped = map_weights(w, mu)
    torch.testing.assert_close(unmap_weights(mapped, mu), w, rtol=1e-9, atol=1e-12)
    assert (mapped.abs() >= w.abs() - 1e-12).all()  # the map lifts small weights
    assert mapped.abs().max() == pytest.approx(w.abs().max().item())
    assert (mapped[w.argsort()].diff() >= 0).all()


def test_a_tiny_mu_changes_next_to_nothing() -> None:
    w = torch.linspace(-1, 1, 21)
    torch.testing.assert_close(map_weights(w, 1e-6), w, rtol=1e-5, atol=1e-7)


def test_zero_weights_stay_zero() -> None:
    assert map_weights(torch.zeros(3, 3), 255.0).eq(0).all()
    assert unmap_weights(torch.zeros(3, 3), 255.0).eq(0).all()


@pytest.mark.parametrize(
    ("layers", "changed"),
    [
        (1, {"5"}),
        (2, {"3", "5"}),
        ("conv", {"0"}),
        ("linear", {"3", "5"}),
        (["0", "5"], {"0", "5"}),
        ("3", {"3"}),
    ],
)
def test_chosen_layers_alone_change_and_the_trained_model_stays(
    layers: object, changed: set[str]
) -> None:
    model = three_layers()
    before = {name: t.clone() for name, t in model.state_dict().items()}
    mapped = MuLaw(layers=layers).transform(model).state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
        layer, _, kind = name.partition(".")
        assert torch.equal(mapped[name], tensor) == (layer not in changed or kind == "bias")


@pytest.mark.parametrize("mu", [0.0, -1.0, math.inf, math.nan])
def test_mu_must_be_positive(mu: float) -> None:
    with pytest.raises(ConfigError, match="expected a finite mu > 0"):
        MuLaw(mu=mu)


@pytest.mark.parametrize("layers", [0, -1, True, 1.5, [], [1], "", None])
def test_layers_must_be_a_choice(layers: object) -> None:
    with pytest.raises(ConfigError, match="expected layers"):
        MuLaw(layers=layers)


@pytest.mark.parametrize(
    ("layers", "message"),
    [(4, "between 1 and 3.*got 4"), (["5", "head"], "among 0, 3, 5, got head")],
)
def test_layers_the_model_lacks(layers: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MuLaw(layers=layers).transform(three_layers())


@pytest.mark.parametrize("layers", [1, "conv", "linear", ["a"]])
def test_a_model_without_weights(layers: object) -> None:
    with pytest.raises(ConfigError, match="expected"):
        MuLaw(layers=layers).transform(nn.Sequential(nn.Flatten()))


def test_it_composes_with_a_training_and_trains_nothing_itself() -> None:
    assert not MuLaw().changes_training
