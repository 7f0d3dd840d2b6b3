from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn

from robench import ConfigError
from robench_compressors.ptq import PTQ
from robench_compressors.ptq_model import encode, pack, unpack


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5)
    ).eval()


def test_levels_known_in_closed_form() -> None:
    codes = encode(torch.tensor([[3.0, -1.6, 0.4, -3.0]]), 3, False, "max")
    assert codes.levels.tolist() == [[3, -2, 0, -3]]
    assert codes.weights.tolist() == [[3.0, -2.0, 0.0, -3.0]]


def test_two_bits_are_ternary() -> None:
    codes = encode(torch.randn(6, 20, generator=torch.Generator().manual_seed(0)), 2, True, "max")
    assert codes.levels.unique().tolist() == [-1, 0, 1]


@settings(deadline=None, max_examples=40)
@given(bits=st.integers(2, 8), seed=st.integers(0, 99), per_channel=st.booleans())
def test_levels_stay_symmetric_and_errors_small(bits: int, seed: int, per_channel: bool) -> None:
    w = torch.randn(5, 3, 2, 2, generator=torch.Generator().manual_seed(seed))
    top = 2 ** (bits - 1) - 1
    codes = encode(w, bits, per_channel, "max")
    assert codes.levels.abs().max() == top
    assert ((codes.weights - w).abs() <= codes.scale / 2 + 1e-6).all()
    least = encode(w, bits, per_channel, "mse")
    assert least.levels.abs().max() <= top
    assert (least.weights - w).square().sum() <= (codes.weights - w).square().sum() + 1e-6


def test_per_channel_is_no_worse_than_per_tensor() -> None:
    w = (
        torch.randn(8, 50, generator=torch.Generator().manual_seed(1))
        * torch.logspace(-2, 0, 8)[:, None]
    )
    errors = [
        (encode(w, 3, channel, "max").weights - w).square().sum() for channel in (True, False)
    ]
    assert errors[0] < errors[1]


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("rule", ["max", "mse"])
def test_constant_zero_weights_stay_zero(per_channel: bool, rule: str) -> None:
    codes = encode(torch.zeros(3, 4), 3, per_channel, rule)
    assert codes.weights.eq(0).all()


@settings(deadline=None, max_examples=60)
@given(bits=st.integers(2, 8), data=st.data())
def test_packing_round_trip_and_true_size(bits: int, data: st.DataObject) -> None:
    top = 2 ** (bits - 1) - 1
    levels = data.draw(st.lists(st.integers(-top, top), min_size=1, max_size=70))
    tensor = torch.tensor(levels, dtype=torch.int8)
    packed = pack(tensor, bits)
    assert len(packed) == -(-len(levels) * bits // 8)
    assert unpack(packed, bits, (len(levels),)).tolist() == levels


def test_the_system_is_its_own_twin_and_the_model_stays(tmp_path: Path) -> None:
    model = network()
    before = model.state_dict()["0.weight"].clone()
    system = PTQ(bits=3).finish(model, None)  # type: ignore[arg-type]
    images = torch.rand(7, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(system.deployed.predict(images), system.twin(images).argmax(1))
    assert torch.equal(model.state_dict()["0.weight"], before)
    quantised = system.twin.state_dict()
    assert len(quantised["4.weight"].unique()) <= 7
    assert torch.equal(quantised["4.bias"], model.state_dict()["4.bias"])


@pytest.mark.parametrize("per_channel", [True, False])
def test_size_is_the_packed_one_and_the_file_holds_the_weights(
    tmp_path: Path, per_channel: bool
) -> None:
    system = PTQ(bits=3, per_channel=per_channel).finish(network(), None)  # type: ignore[arg-type]
    weights = -(-36 * 3 // 8) + -(-720 * 3 // 8)
    scales = 4 * ((4 + 5) if per_channel else 2)
    floats = 4 * (4 + 5) + 4 * 4 * 4 + 8  # biases, batch norm and its counter of batches
    assert system.deployed.nbytes() == weights + scales + floats
    system.deployed.save(tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    levels = unpack(stored["4.weight.levels"], 3, (5, 144))
    weight = levels * stored["4.weight.scale"].view(-1, 1)
    assert torch.equal(weight, system.twin.state_dict()["4.weight"])
    assert sum(t.numel() * t.element_size() for t in stored.values()) == system.deployed.nbytes()


@pytest.mark.parametrize("bits", [1, 9, 0, -3])
def test_bits_out_of_range(bits: int) -> None:
    with pytest.raises(ConfigError, match="between 2 and 8"):
        PTQ(bits=bits)


def test_unknown_scale_rule() -> None:
    with pytest.raises(ConfigError, match="max or mse"):
        PTQ(scale="median")


def test_a_model_without_weights() -> None:
    with pytest.raises(ConfigError, match="expected a model with"):
        PTQ().finish(nn.Sequential(nn.Flatten()), None)  # type: ignore[arg-type]
