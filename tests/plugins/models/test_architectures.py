from __future__ import annotations

import pytest
import torch
from torch import fx, nn

from robench.base.errors import ConfigError
from robench.core.system import check_output
from robench.plugin.components import Model
from robench.training.recipe import TrainConfig
from robench_data.cnn4 import CNN4
from robench_data.resnet9 import ResNet9
from robench_data.resnet20 import ResNet20
from robench_data.small_cnn import SmallCNN
from robench_data.torchvision_model import TorchvisionModel
from robench_data.wide_resnet32 import WideResNet32

MODELS = {
    "small_cnn": SmallCNN(),
    "cnn4": CNN4(),
    "resnet9": ResNet9(),
    "resnet20": ResNet20(),
    "resnet20_pad": ResNet20(shortcut="pad"),
    "wide_resnet32": WideResNet32(width=1),
    "torchvision": TorchvisionModel(),
}
SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 21, 17)]


@pytest.fixture(params=MODELS.values(), ids=MODELS)
def model(request: pytest.FixtureRequest) -> Model:
    chosen: Model = request.param
    return chosen


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_logits_for_images_of_any_size(model: Model, shape: tuple[int, int, int]) -> None:
    network = check_output(lambda: model.build(shape, 7), shape, 7)
    images = torch.rand(4, *shape, requires_grad=True)
    network(images).square().sum().backward()
    assert images.grad is not None
    assert images.grad.flatten(1).abs().sum(1).min() > 0
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_fx_traces_the_same_function(model: Model) -> None:
    network = model.build((1, 8, 8), 10).eval()
    images = torch.rand(3, 1, 8, 8)
    assert torch.equal(fx.symbolic_trace(network)(images), network(images))


def test_the_seed_decides_the_weights(model: Model) -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return nn.utils.parameters_to_vector(model.build((1, 8, 8), 10).parameters())

    first, again, other = weights(0), weights(0), weights(1)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_no_activation_works_in_place(model: Model) -> None:
    network = model.build((3, 32, 32), 10)
    assert not any(getattr(module, "inplace", False) for module in network.modules())


def test_the_network_normalises(model: Model) -> None:
    network = model.build((3, 32, 32), 10)
    layer = network.get_submodule("normalize")
    mean = torch.tensor([0.485, 0.456, 0.406] if isinstance(model, TorchvisionModel) else [0.5] * 3)
    assert layer(mean.view(1, 3, 1, 1).expand(1, 3, 2, 2)).abs().max() < 1e-6
    assert not any("normalize" in key for key in network.state_dict())


def test_recipes_name_fields_of_a_recipe(model: Model) -> None:
    recipe = TrainConfig().recipe(model.recipe)
    assert recipe.optimizer == ("adam" if isinstance(model, SmallCNN | CNN4) else "sgd")


@pytest.mark.parametrize(
    ("model", "shape", "parameters"),
    [
        # Counted by hand: weights and biases of each layer, batch norms with two per channel.
        (CNN4(), (1, 28, 28), 832 + 51_264 + (3136 * 512 + 512) + 5130),
        (SmallCNN(), (1, 8, 8), 320 + 9248 + 18_496 + (256 * 128 + 128) + 1290),
        # 0.27 million (He et al., table 6); with 1x1 shortcuts the integer notes count 272,474.
        (ResNet20(), (3, 32, 32), 272_474),
        (ResNet20(shortcut="pad"), (3, 32, 32), 272_474 - 2560 - 192),
        # 6,573,130 is the figure Page's network of width 64 is known by.
        (ResNet9(width=64), (3, 32, 32), 6_573_130),
        # 46.2 million is the figure Madry et al.'s w32-10 is known by.
        (WideResNet32(width=10), (3, 32, 32), 46_160_474),
    ],
    ids=["cnn4", "small_cnn", "resnet20", "resnet20_pad", "resnet9-64", "w32-10"],
)
def test_parameter_counts(model: Model, shape: tuple[int, int, int], parameters: int) -> None:
    with torch.device("meta"):
        network = model.build(shape, 10)
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_layers_are_named_for_weight_maps() -> None:
    def weighted(model: Model) -> list[str]:
        network = model.build((1, 28, 28), 10)
        kinds = nn.Conv2d | nn.Linear
        return [name for name, module in network.named_modules() if isinstance(module, kinds)]

    assert weighted(CNN4()) == ["conv1", "conv2", "fc1", "fc2"]
    assert weighted(SmallCNN()) == ["conv1", "conv2", "conv3", "fc1", "fc2"]
    assert weighted(ResNet20())[-3:] == ["stage3.2.conv1", "stage3.2.conv2", "fc"]
    assert weighted(ResNet9())[-3:] == ["residual2.conv1.0", "residual2.conv2.0", "fc"]
    assert weighted(WideResNet32(width=1))[-3:] == ["stage3.4.conv1", "stage3.4.conv2", "fc"]


def test_the_padded_shortcut_is_option_a() -> None:
    from robench_data.networks.resnet import PadShortcut

    x = torch.arange(2 * 3 * 4 * 4.0).view(2, 3, 4, 4)
    y = PadShortcut(3, 2)(x)
    assert torch.equal(y[:, :3], x[:, :, ::2, ::2])
    assert torch.equal(y[:, 3:], torch.zeros(2, 3, 2, 2))


def test_the_wide_shortcut_reads_the_activation() -> None:
    from robench_data.networks.wide_resnet import PreactBlock

    block = PreactBlock(4, 8, 2).eval()
    nn.init.zeros_(block.conv2.weight)
    x = -torch.rand(1, 4, 6, 6)
    assert torch.equal(block(x), torch.zeros(1, 8, 3, 3))
    assert torch.equal(PreactBlock(4, 4, 1).shortcut(x), x)


@pytest.mark.parametrize("model", [SmallCNN(), CNN4()], ids=["small_cnn", "cnn4"])
def test_images_too_small_for_two_poolings(model: Model) -> None:
    assert model.build((1, 4, 4), 2)(torch.rand(1, 1, 4, 4)).shape == (1, 2)
    with pytest.raises(ConfigError, match="at least 4x4 pixels, got 3x9"):
        model.build((1, 3, 9), 2)


def test_images_too_small_for_three_poolings() -> None:
    with pytest.raises(ConfigError, match=r"8x8 pixels or more, got \(7, 9\)"):
        ResNet9().build((1, 7, 9), 2)


def test_wrong_options() -> None:
    with pytest.raises(ConfigError, match="conv, pad, got 'A'"):
        ResNet20(shortcut="A")
    with pytest.raises(ConfigError, match="width >= 1, got 0"):
        WideResNet32(width=0)
