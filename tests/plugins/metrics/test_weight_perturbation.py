from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from robench import ConfigError, evaluate
from robench_compressors.ptq import PTQ
from robench_defenses.mulaw import MuLaw
from robench_metrics.weight_perturbation.features import inputs, terms
from robench_metrics.weight_perturbation.metric import WeightPerturbation
from robench_metrics.weight_perturbation.norms import (
    convolution_norms,
    matrix_norms,
    spectral_norm,
)


@settings(deadline=None, max_examples=30)
@given(rows=st.integers(1, 12), columns=st.integers(1, 12), seed=st.integers(0, 99))
def test_power_iteration_against_the_full_svd(rows: int, columns: int, seed: int) -> None:
    matrix = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)).double()
    full = torch.linalg.svdvals(matrix)[0].item()
    assert matrix_norms(matrix)["2"] == pytest.approx(full, rel=1e-5)


def test_power_iteration_when_the_two_largest_values_are_close() -> None:
    q = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(0)).double()).Q
    values = torch.tensor([3.0, 2.999, 1, 1, 1, 0.5, 0.1, 0]).double()
    assert spectral_norm((q * values) @ q.T[None]) == pytest.approx(3.0, rel=1e-4)


def test_a_batch_gives_its_largest_and_zeros_give_zero() -> None:
    batch = torch.stack([torch.eye(3), 5 * torch.eye(3), torch.zeros(3, 3)]).double()
    assert spectral_norm(batch) == pytest.approx(5.0)
    assert spectral_norm(torch.zeros(2, 3, 4).double()) == 0.0


def test_matrix_norms_known_by_hand() -> None:
    norms = matrix_norms(torch.tensor([[1.0, -2.0], [0.0, 3.0]]))
    assert norms["1"] == 5.0
    assert norms["inf"] == 3.0


def dense_circular(layer: nn.Conv2d, size: tuple[int, int]) -> torch.Tensor:
    """The convolution's matrix, column by column, its border padded circularly by hand."""
    columns = []
    height, width = layer.kernel_size
    reach = (layer.dilation[0] * (height - 1), layer.dilation[1] * (width - 1))
    for position in range(layer.in_channels * size[0] * size[1]):
        unit = torch.zeros(layer.in_channels * size[0] * size[1]).double()
        unit[position] = 1
        image = unit.view(1, layer.in_channels, *size)
        padded = F.pad(image, (0, reach[1], 0, reach[0]), mode="circular")
        out = F.conv2d(padded, layer.weight, None, layer.stride, 0, layer.dilation, layer.groups)
        columns.append(out.flatten())
    return torch.stack(columns, 1)


@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"groups": 2}, {"dilation": 2}])
def test_convolution_norms_are_those_of_the_dense_operator(options: dict[str, int]) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 4, 3, bias=False, **options).double()
    dense = dense_circular(layer, (6, 8)).detach()
    norms = convolution_norms(layer.weight, layer, (6, 8))
    assert norms["1"] == pytest.approx(dense.abs().sum(0).max().item())
    assert norms["inf"] == pytest.approx(dense.abs().sum(1).max().item())
    assert norms["2"] == pytest.approx(torch.linalg.svdvals(dense)[0].item(), rel=1e-5)


def test_a_kernel_larger_than_its_image_wraps_around() -> None:
    layer = nn.Conv2d(1, 1, 5, padding=2, bias=False)
    torch.nn.init.ones_(layer.weight)
    assert convolution_norms(layer.weight, layer, (2, 2))["2"] == pytest.approx(25.0)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(36, 6),
        nn.ReLU(),
        nn.Linear(6, 3),
    ).eval()


def test_the_terms_add_up_to_the_difference_of_the_outputs() -> None:
    model = network()
    mapped = MuLaw(layers=2).transform(model)
    deployed = PTQ(bits=3).finish(mapped, None).twin.eval()  # type: ignore[arg-type]
    rng = torch.Generator().manual_seed(0)
    clean = torch.rand(5, 1, 8, 8, generator=rng)
    moved = (clean + 0.1 * torch.randn(clean.shape, generator=rng)).clamp(0, 1)
    found = terms(mapped, deployed, clean, moved)
    assert list(found) == ["0", "3", "5"]
    layer, other = mapped[3], deployed[3]
    x, y = inputs(mapped, clean)["3"], inputs(deployed, moved)["3"]
    delta = other(y) - layer(x)
    w, dw, dx = layer.weight, other.weight - layer.weight, y - x
    torch.testing.assert_close(dx @ w.T + x @ dw.T + dx @ dw.T, delta, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found["3"].dw_x, (x @ dw.T).norm(dim=1))
    torch.testing.assert_close(found["3"].dw_dx, (dx @ dw.T).norm(dim=1))
    torch.testing.assert_close(found["3"].distance, dx.norm(dim=1) / x.norm(dim=1))


def test_values_of_a_run() -> None:
    record = evaluate(
        network_for_digits(),
        "digits",
        defense=[MuLaw(layers=1)],
        compressor="ptq",
        metric=[WeightPerturbation(images=20)],
        attack=["fgsm"],
        images=60,
    )
    norms = [v for v in record.values if v.metric == "weight_perturbation"]
    assert len(norms) == 3 * (6 + 3 + 3)
    untouched = record.find_all("weight_perturbation", layer="0", step="trained -> mapped", p="2")
    assert {value.value for value in untouched} == {0.0}
    for name in ("0", "3", "5"):
        axes = {"layer": name, "step": "mapped -> quantized", "p": "inf"}
        direct = record.find_all("weight_perturbation", **axes)
        assert direct
        assert all((value.value or 0.0) > 0 for value in direct)
        assert record.find_all("signal_to_noise", layer=name)


def network_for_digits() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(256, 16),
        nn.ReLU(),
        nn.Linear(16, 10),
    )


def test_bad_number_of_images() -> None:
    with pytest.raises(ConfigError, match="images > 0"):
        WeightPerturbation(images=0)
