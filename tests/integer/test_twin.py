"""The fake-quantised twin: agrees with its program, trains, gives gradients, copies, folds."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models import resnet18, resnet50

from robench.base.errors import UserError
from robench.integer import calibrate, prepare_qat, quantize, run_reference, to_program
from tests.integer.integer_networks import (
    CifarResNet,
    Torchvision,
    WideResNet,
    cnn4,
    settle,
    small_cnn,
)

CIFAR = (3, 32, 32)
NETWORKS = {
    "small_cnn": (lambda: small_cnn(CIFAR, 8), CIFAR),
    "digits": (lambda: small_cnn((1, 8, 8)), (1, 8, 8)),
    "cnn4": (cnn4, (1, 28, 28)),
    "resnet option A": (lambda: CifarResNet(1, option="A"), CIFAR),
    "resnet option B": (lambda: CifarResNet(1, option="B"), CIFAR),
    "wide_resnet": (lambda: WideResNet(1, 1), CIFAR),
    "resnet18": (lambda: Torchvision(resnet18), (3, 40, 40)),
    "resnet50": (lambda: Torchvision(resnet50), (3, 33, 33)),
}


def batch(shape: tuple[int, ...], count: int = 48) -> torch.Tensor:
    return torch.randint(
        0, 256, (count, *shape), generator=torch.Generator().manual_seed(1), dtype=torch.uint8
    )


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("input_range", [(0, 255), (-120, 375)])
def test_twin_and_program_agree(name: str, input_range: tuple[int, int]) -> None:
    torch.manual_seed(0)
    build, shape = NETWORKS[name]
    model = settle(build(), shape)
    pixels = batch(shape)
    twin = quantize(model, pixels / 255, "minmax", input_range=input_range)
    _, logits = run_reference(to_program(twin), pixels)
    with torch.no_grad():
        real, exact = twin(pixels / 255), model(pixels / 255)
    # Logits, not labels: random networks decide by margins below one code.
    assert similarity(logits.float(), real) > 0.95
    assert similarity(real, exact) > 0.95


def similarity(a: torch.Tensor, b: torch.Tensor) -> float:
    """Correlation of logits over images, class by class, on average."""
    return F.cosine_similarity(a - a.mean(0), b - b.mean(0), 0).mean().item()


@pytest.fixture
def trained() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """A twin trained for a few steps on separable images."""
    torch.manual_seed(0)
    twin = prepare_qat(CifarResNet(1, 4), (3, 16, 16)).train()
    labels = torch.arange(64) % 4
    images = (torch.rand(64, 3, 16, 16) * 0.3).clamp(0, 1)
    for quarter in range(4):
        images[labels == quarter, :, quarter * 4 : quarter * 4 + 4] += 0.6
    optimiser = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9)
    for _ in range(25):
        optimiser.zero_grad()
        F.cross_entropy(twin(images), labels).backward()
        optimiser.step()
    return twin.eval(), images, labels


def test_training_learns_and_the_program_keeps_it(
    trained: tuple[nn.Module, torch.Tensor, torch.Tensor],
) -> None:
    twin, images, labels = trained
    assert (twin(images).argmax(1) == labels).float().mean() > 0.9
    deployed, _ = run_reference(to_program(twin), (images * 255).round().byte())
    assert (deployed == twin(images).argmax(1)).float().mean() >= 0.98


def test_attack_gradients_reach_the_pixels(
    trained: tuple[nn.Module, torch.Tensor, torch.Tensor],
) -> None:
    twin, images, labels = trained
    images = images.clone().requires_grad_()
    F.cross_entropy(twin(images), labels).backward()
    stepped = images + 0.1 * images.grad.sign()
    assert (images.grad != 0).float().mean() > 0.5
    assert F.cross_entropy(twin(stepped), labels) > 2 * F.cross_entropy(twin(images), labels)


def test_copies_and_saved_weights_give_the_same_logits(
    trained: tuple[nn.Module, torch.Tensor, torch.Tensor],
) -> None:
    twin, images, _ = trained
    again = prepare_qat(CifarResNet(1, 4), (3, 16, 16)).eval()
    again.load_state_dict(twin.state_dict())
    expected = twin(images)
    assert torch.equal(copy.deepcopy(twin)(images), expected)
    assert torch.equal(again(images), expected)


def test_evaluation_leaves_ranges_and_statistics_alone(
    trained: tuple[nn.Module, torch.Tensor, torch.Tensor],
) -> None:
    twin, images, _ = trained
    before = {name: value.clone() for name, value in twin.state_dict().items()}
    twin(images * 3)
    assert all(torch.equal(value, before[name]) for name, value in twin.state_dict().items())


def test_preparing_leaves_the_model_alone() -> None:
    model = settle(CifarResNet(1, 4), CIFAR)
    before = copy.deepcopy(model.state_dict())
    prepare_qat(model, CIFAR).train()(torch.rand(2, *CIFAR))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_folded_batch_norm_is_the_live_one() -> None:
    """Evaluation folds; the unquantised answer must not move."""
    model = settle(CifarResNet(1, 4, "A"), CIFAR)
    twin = prepare_qat(model, CIFAR).eval()
    images = batch(CIFAR, 8) / 255
    calibrate(twin, images, "minmax")
    with torch.no_grad():
        assert (twin(images) - model(images)).abs().max() < 0.1 * model(images).std() + 0.05


def test_a_dead_or_switched_off_channel_still_gives_a_program() -> None:
    model = settle(CifarResNet(1, 4), CIFAR)
    model.bn.weight.data[0] = 1e-9
    model.bn.weight.data[1] = 0.0
    model.bn.bias.data[:] = torch.tensor([0.5, -0.5, 3.0, -900.0])
    model.blocks[0].conv1.weight.data[2] = 0.0
    pixels = batch(CIFAR)
    twin = quantize(model, pixels / 255, "minmax")
    labels, _ = run_reference(to_program(twin), pixels)
    assert (labels == twin(pixels / 255).argmax(1)).float().mean() > 0.9


def test_unobserved_ranges_pass_values_and_make_no_program() -> None:
    twin = prepare_qat(small_cnn(CIFAR, 4), CIFAR).eval()
    assert bool(torch.isfinite(twin(torch.rand(1, *CIFAR))).all())
    with pytest.raises(UserError, match="train the network or calibrate it"):
        to_program(twin)


@pytest.mark.parametrize("method", ["minmax", "percentile", "mse"])
def test_calibration_methods_treat_outliers_differently(method: str) -> None:
    torch.manual_seed(0)
    twin = prepare_qat(small_cnn((1, 8, 8), 4), (1, 8, 8))
    images = torch.rand(200, 1, 8, 8)
    images[0] = 1.0
    calibrate(twin, images, method)
    widest = prepare_qat(small_cnn((1, 8, 8), 4), (1, 8, 8))
    widest.load_state_dict(twin.state_dict())
    calibrate(widest, images, "minmax")
    tops = [q.range[1].item() for q in twin.quantizers()]
    widest_tops = [q.range[1].item() for q in widest.quantizers()]
    assert all(top <= wide for top, wide in zip(tops, widest_tops, strict=True))
    assert (tops == widest_tops) == (method == "minmax")


class _Unknown(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer, self.fc = layer, nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.layer(x).mean((2, 3)))


@pytest.mark.parametrize(
    "layer",
    [
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sigmoid()),
        nn.Conv2d(3, 4, 3, dilation=2),
        nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 3, groups=2)),
        nn.Conv2d(3, 4, (3, 1), stride=(2, 1)),
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.AvgPool2d(2, padding=1)),
    ],
)
def test_layers_outside_the_program_are_refused_by_name(layer: nn.Module) -> None:
    with pytest.raises(UserError, match=r"integer program: expected .*, got .*; change the model"):
        prepare_qat(_Unknown(layer), (3, 12, 12))


def test_calibration_refuses_other_methods() -> None:
    with pytest.raises(UserError, match="minmax"):
        quantize(small_cnn((1, 8, 8)), torch.rand(4, 1, 8, 8), "median")  # type: ignore[arg-type]


class Transformer(nn.Module):
    """Patches, one block of attention, an average."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 8, 4, 4)
        self.norm = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.wide = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))
        self.head = nn.Linear(8, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = self.norm(self.patches(images).flatten(2).transpose(1, 2))
        tokens = tokens + self.attention(tokens, tokens, tokens)[0]
        found: torch.Tensor = self.head((tokens + self.wide(tokens)).mean(1))
        return found


def test_a_transformer_is_refused_for_what_it_is() -> None:
    with pytest.raises(UserError, match="compressor=ptq") as caught:
        prepare_qat(Transformer(), (1, 8, 8))
    assert "got LayerNorm, MultiheadAttention, GELU;" in str(caught.value)
    assert "convolutions, linear layers, batch norm, ReLU" in str(caught.value)


def test_a_network_that_cannot_be_traced_is_one_line() -> None:
    class Branching(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images if images.sum() > 0 else -images

    with pytest.raises(UserError, match=r"torch\.fx can trace, got: .*compressor=ptq"):
        prepare_qat(Branching(), (1, 8, 8))
