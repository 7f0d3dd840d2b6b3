"""Models whose truth is known: some mask their gradients, some are honest.

Every entry is a system as a run would attack it, and `adaptive`, a module that computes about the
same function with usable gradients: with it an attacker who knows the trick breaks the system.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robench.audit.checks import CHECKS, LEVELS
from robench.audit.trial import Trial
from robench.audit.verdict import worst
from robench.data import Split, stratified
from robench.record import Finding
from robench.search import GradientSearch
from robench.seeds import seed_scope
from robench.system import FloatDeployed, System
from robench.threat import Threat


@dataclass(frozen=True)
class Lesson:
    """Training and test images, float32 in [0,1], and the threat they are attacked under."""

    train: Split
    test: Split
    threat: Threat
    epochs: int
    width: int


@dataclass(frozen=True)
class Exhibit:
    """One model of the zoo."""

    name: str
    masked: bool
    """The intended truth; `benchmarks/audit` checks it with the adaptive attack."""
    system: System
    adaptive: nn.Module
    parent: nn.Module | None = None
    """The float network before weights were mapped or quantized, where there is one."""
    samples: int = 1
    """Evaluations that the adaptive attack averages: more than 1 for randomised models."""
    black_box: bool = False
    """Whether Square belongs to the adaptive attack, because no gradient helps."""


def digits(test: int = 200, eps: float = 0.2, seed: int = 1) -> Lesson:
    """scikit-learn's digits: 8 x 8 pixels."""
    import numpy as np
    from sklearn.datasets import load_digits

    data = load_digits()
    pixels = torch.from_numpy((data.images[:, None] / 16 * 255).round().astype("uint8"))
    split = Split(pixels, torch.from_numpy(data.target).long())
    held = stratified(split.labels, 500, np.random.default_rng(0))
    kept = torch.ones(len(split), dtype=torch.bool)
    kept[held] = False
    judged = stratified(split.labels[held], test, np.random.default_rng(seed))
    return Lesson(
        split.take(kept.nonzero()[:, 0]), split.take(held[judged]), Threat("linf", eps), 25, 8
    )


def mnist(root: Path, test: int = 200, eps: float = 0.2, seed: int = 1) -> Lesson:
    """MNIST: 10,000 images to train on."""
    import numpy as np

    from robench_data.mnist import MNIST

    data = MNIST().load(root)
    taught = stratified(data.train.labels, 10_000, np.random.default_rng(0))
    judged = stratified(data.test.labels, test, np.random.default_rng(seed))
    return Lesson(
        data.train.take(taught), data.test.take(judged), Threat("linf", eps), epochs=4, width=16
    )


# -- networks -----------------------------------------------------------------------------------


def network(
    lesson: Lesson, activation: Callable[[], nn.Module] = nn.ReLU, seed: int = 0
) -> nn.Sequential:
    """Two convolutions and two linear layers, untrained; initial weights follow the seed."""
    size, width = lesson.train.images.shape[-1], lesson.width
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(lesson.train.images.shape[1], width, 3, padding=1),
            activation(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            activation(),
            nn.Flatten(),
            nn.Linear(2 * width * ((size + 1) // 2) ** 2, 64),
            activation(),
            nn.Linear(64, 10),
        )


Target = Callable[[nn.Module, Tensor, Tensor, torch.Generator], Tensor]


def plain_loss(model: nn.Module, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
    del rng
    return F.cross_entropy(model(images), labels)


def train(
    model: nn.Module, lesson: Lesson, loss: Target = plain_loss, epochs: int = 0
) -> nn.Module:
    """Train with Adam on batches of 64; the model is changed and returned in eval mode."""
    images, labels = lesson.train.float_images(), lesson.train.labels
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    rng = torch.Generator().manual_seed(1)
    model.train()
    for _ in range(epochs or lesson.epochs):
        for index in torch.randperm(len(labels), generator=rng).split(64):
            optimizer.zero_grad()
            loss(model, images[index], labels[index], rng).backward()
            optimizer.step()
    return model.eval()


def adversarial_loss(threat: Threat) -> Target:
    """Cross-entropy on PGD examples with 7 steps (Madry et al., 2018)."""
    search = GradientSearch(steps=7, step=2.5, random_start=True, best=False)

    def loss(model: nn.Module, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        attacked = search.run(model, images, labels, threat, rng)
        return F.cross_entropy(model(attacked), labels)

    return loss


# -- tricks -------------------------------------------------------------------------------------


class Straight(nn.Module):
    """Applies a function; its gradient is the identity's (straight-through), or its own."""

    def __init__(self, function: Callable[[Tensor], Tensor], through: bool) -> None:
        super().__init__()
        self.function, self.through = function, through

    def forward(self, x: Tensor) -> Tensor:
        y = self.function(x)
        return x + (y - x).detach() if self.through else y


def rounded(levels: int) -> Callable[[Tensor], Tensor]:
    """Round to multiples of 1/levels."""
    return lambda x: (x * levels).round() / levels


def numpy_bits(x: Tensor) -> Tensor:
    """Outside of torch: keep three bits a pixel and smooth along the rows."""
    import numpy as np

    array = np.floor(x.detach().cpu().numpy() * 7.999) / 7
    smooth = 0.1 * np.roll(array, 1, -1) + 0.8 * array + 0.1 * np.roll(array, -1, -1)
    return torch.from_numpy(smooth.astype("float32")).to(x.device)


class Winners(nn.Module):
    """k-winners-take-all (Xiao et al., 2020): only the largest share of activations passes."""

    def __init__(self, share: float = 0.1) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        k = max(1, int(self.share * flat.shape[1]))
        limit = flat.topk(k, 1).values[:, -1:]
        return (flat * (flat >= limit)).view_as(x)


class Steep(nn.Module):
    """A sigmoid so steep that it is saturated almost everywhere."""

    def __init__(self, slope: float = 1.0) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.slope * x)


class Scale(nn.Module):
    """Multiplies by a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


class Shattered(torch.autograd.Function):
    """The identity, whose backward pass answers with unrelated signs."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x)
        return x.clone()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        (x,) = ctx.saved_tensors
        return gradient * torch.sin(x * 1e4 + gradient * 1e6).sign()


class Shatter(nn.Module):
    """A layer around `Shattered`."""

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = Shattered.apply(x)
        return result


class Jitter(nn.Module):
    """Random noise, a random shift and a random resizing of every batch (Xie et al., 2018)."""

    def __init__(self, noise: float) -> None:
        super().__init__()
        self.noise = noise

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-1]
        small = int(torch.randint(round(size * 0.75), size + 1, ()))
        left, top = (int(torch.randint(0, size - small + 1, ())) for _ in range(2))
        resized = F.interpolate(x, (small, small), mode="bilinear", align_corners=False)
        padded = F.pad(resized, (left, size - small - left, top, size - small - top))
        return padded + self.noise * torch.randn_like(padded)


class Pruned(nn.Module):
    """Drops activations at random, in use too (after Dhillon et al., 2018)."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        return x * (torch.rand_like(x) > self.share) / (1 - self.share)


class Randomised(FloatDeployed):
    """A float network whose answers are random."""

    randomised = True


class Smoothed(nn.Module):
    """Mean probabilities over fixed noise: an honest smoothed twin."""

    def __init__(self, model: nn.Module, sigma: float, draws: int = 8) -> None:
        super().__init__()
        self.model, self.sigma, self.draws = model, sigma, draws

    def forward(self, x: Tensor) -> Tensor:
        noisy = x.repeat(self.draws, 1, 1, 1)
        noisy = noisy + self.sigma * torch.randn_like(noisy)
        probabilities: Tensor = self.model(noisy).softmax(1).view(self.draws, len(x), -1)
        return probabilities.mean(0).clamp_min(1e-12).log()


def mapped(model: nn.Module, mu: float, last: int) -> nn.Module:
    """A copy whose last layers' weights went through mu-law (Song et al., 2021)."""
    result = copy.deepcopy(model)
    layers = [m for m in result.modules() if isinstance(m, (nn.Linear, nn.Conv2d))]
    for layer in layers[-last:]:
        largest = layer.weight.detach().abs().max()
        unit = layer.weight.detach() / largest
        bent = unit.sign() * torch.log1p(mu * unit.abs()) / torch.log1p(torch.tensor(mu))
        layer.weight.data = bent * largest
    return result


class FakeQuant(nn.Module):
    """Symmetric fake quantization with a fixed step; straight-through inside its range."""

    def __init__(self, step: float, bits: int) -> None:
        super().__init__()
        self.step, self.top = step, 2 ** (bits - 1) - 1

    def forward(self, x: Tensor) -> Tensor:
        scaled = (x / self.step).clamp(-self.top - 1, self.top)
        return self.step * (scaled + (scaled.round() - scaled).detach())


def quantized(model: nn.Sequential, bits: int, images: Tensor) -> nn.Sequential:
    """Post-training quantization of weights (per tensor) and activations, as fake quantization."""
    layers: list[nn.Module] = []
    x = images
    for layer in copy.deepcopy(model):
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            step = float(layer.weight.detach().abs().max()) / (2 ** (bits - 1) - 1)
            layer.weight.data = (layer.weight.detach() / step).round() * step
        with torch.no_grad():
            x = layer(x)
        layers.append(layer)
        if not isinstance(layer, nn.Flatten):
            layers.append(FakeQuant(float(x.abs().max()) / (2 ** (bits - 1) - 1), bits))
    return nn.Sequential(*layers[:-1]).eval()


class QatLinear(nn.Module):
    """A layer whose weights are rounded to 4 bits in every forward pass, straight-through."""

    def __init__(self, layer: nn.Linear | nn.Conv2d) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        weight = self.layer.weight
        step = weight.detach().abs().max() / 7
        weight = weight + ((weight / step).round() * step - weight).detach()
        result: Tensor = torch.func.functional_call(self.layer, {"weight": weight}, (x,))
        return result


# -- the zoo ------------------------------------------------------------------------------------


def _shipped(model: nn.Module, randomised: bool = False) -> System:
    kind = Randomised if randomised else FloatDeployed
    return System(kind(model.eval()), model.eval())


def _own(name: str, masked: bool, model: nn.Module, adaptive: nn.Module | None = None) -> Exhibit:
    return Exhibit(name, masked, _shipped(model), (adaptive or model).eval())


def examined(exhibit: Exhibit, lesson: Lesson, level: str = "quick", seed: int = 0) -> Result:
    """Audit an exhibit as a run would."""
    sources = {}
    if (parent := exhibit.parent) is not None:
        sources["float parent"] = lambda: parent
    images, labels = lesson.test.float_images(), lesson.test.labels
    with seed_scope(seed):
        trial = Trial(
            exhibit.system,
            images,
            labels,
            lesson.threat,
            seed,
            sources,
            steps=LEVELS[level],
            thrifty=level == "quick",
        )
        findings = tuple(f for check in CHECKS[level] for f in check.look(trial))
    return Result(trial, findings, worst(f.verdict for f in findings))


@dataclass(frozen=True)
class Result:
    """What an audit of an exhibit found."""

    trial: Trial
    findings: tuple[Finding, ...]
    verdict: str


@dataclass
class Zoo:
    """The exhibits of one data set, each trained when first asked for."""

    lesson: Lesson
    _made: dict[str, nn.Sequential] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """All exhibits: masked ones first."""
        return (*MASKED, *HONEST)

    def build(self, name: str) -> Exhibit:
        """One exhibit by its name, the same every time."""
        with seed_scope(0):
            return {**MASKED, **HONEST}[name](self)

    def base(self, kind: str = "plain") -> nn.Sequential:
        """A trained network: plain, or adversarially trained."""
        if kind not in self._made:
            loss = adversarial_loss(self.lesson.threat) if kind == "adversarial" else plain_loss
            model = train(network(self.lesson), self.lesson, loss)
            assert isinstance(model, nn.Sequential)
            self._made[kind] = model
        return self._made[kind]

    def _layered(self, name: str, at: int, make: Callable[[bool], nn.Module]) -> Exhibit:
        """The plain network with a layer put in at a place; its adaptive form is usable."""
        layers = list(self.base())
        hard, soft = (
            nn.Sequential(*layers[:at], make(through), *layers[at:]) for through in (False, True)
        )
        return _own(name, True, hard, soft)


def input_rounding(zoo: Zoo) -> Exhibit:
    return zoo._layered("input_rounding", 0, lambda soft: Straight(rounded(8), soft))


def activation_rounding(zoo: Zoo) -> Exhibit:
    return zoo._layered("activation_rounding", 2, lambda soft: Straight(rounded(4), soft))


def numpy_preprocessing(zoo: Zoo) -> Exhibit:
    return zoo._layered("numpy_preprocessing", 0, lambda soft: Straight(numpy_bits, soft))


def gradient_stop(zoo: Zoo) -> Exhibit:
    return zoo._layered("gradient_stop", 4, lambda soft: Straight(torch.Tensor.detach, soft))


def shattered(zoo: Zoo) -> Exhibit:
    return zoo._layered("shattered", 2, lambda soft: nn.Identity() if soft else Shatter())


def mulaw(zoo: Zoo) -> Exhibit:
    model = mapped(zoo.base(), 255.0, 3)
    soft = nn.Sequential(model, Scale(0.005))
    return Exhibit("mulaw", True, _shipped(model), soft.eval(), zoo.base())


def winners(zoo: Zoo) -> Exhibit:
    wide = replace(zoo.lesson, width=3 * zoo.lesson.width)
    model = train(network(wide, lambda: Winners(0.05)), wide)
    return Exhibit("winners", True, _shipped(model), model, black_box=True)


def saturated_sigmoid(zoo: Zoo) -> Exhibit:
    model = network(zoo.lesson, Steep)
    steep = [m for m in model if isinstance(m, Steep)]
    for slope in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0):
        for layer in steep:
            layer.slope = slope
        train(model, zoo.lesson, epochs=8)
    for layer in steep:
        layer.slope = 300.0
    soft = copy.deepcopy(model)
    for twin in soft.modules():
        if isinstance(twin, Steep):
            twin.slope = 10.0
    return _own("saturated_sigmoid", True, model, soft)


def scaled_logits(zoo: Zoo) -> Exhibit:
    return _own("scaled_logits", True, nn.Sequential(zoo.base(), Scale(1000.0)), zoo.base())


def extra_softmax(zoo: Zoo) -> Exhibit:
    model = nn.Sequential(zoo.base(), Scale(20.0), nn.Softmax(1))
    return _own("extra_softmax", True, model, zoo.base())


def distilled(zoo: Zoo) -> Exhibit:
    """Defensive distillation (Papernot et al., 2016) at temperature 100."""
    heat = 100.0

    def hot(model: nn.Module, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        del rng
        return F.cross_entropy(model(images) / heat, labels)

    teacher = train(network(zoo.lesson, seed=1), zoo.lesson, hot, epochs=2 * zoo.lesson.epochs)

    def taught(model: nn.Module, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        del rng, labels
        with torch.no_grad():
            soft = (teacher(images) / heat).softmax(1)
        return F.cross_entropy(model(images) / heat, soft)

    student = train(network(zoo.lesson, seed=2), zoo.lesson, taught, epochs=2 * zoo.lesson.epochs)
    return _own("distilled", True, student, nn.Sequential(student, Scale(1 / heat)))


def random_pruning(zoo: Zoo) -> Exhibit:
    layers = list(network(zoo.lesson))
    half = [Pruned(0.5) for _ in range(3)]
    layers = [Pruned(0.25), *layers[:2], half[0], *layers[2:4], half[1], *layers[4:7], half[2]]
    model = train(nn.Sequential(*layers, network(zoo.lesson)[-1]), zoo.lesson)
    return Exhibit("random_pruning", True, _shipped(model, True), model, None, 8)


def random_input(zoo: Zoo) -> Exhibit:
    """Random resizing, shifts and noise, and a rounding after them."""
    jitter, base = Jitter(0.1), network(zoo.lesson)
    train(nn.Sequential(jitter, base), zoo.lesson)
    hard, soft = (
        nn.Sequential(jitter, Straight(rounded(8), through), base).eval()
        for through in (False, True)
    )
    return Exhibit("random_input", True, _shipped(hard, True), soft, None, 8)


MASKED: dict[str, Callable[[Zoo], Exhibit]] = {
    make.__name__: make
    for make in (
        input_rounding,
        activation_rounding,
        numpy_preprocessing,
        gradient_stop,
        shattered,
        mulaw,
        winners,
        saturated_sigmoid,
        scaled_logits,
        extra_softmax,
        distilled,
        random_pruning,
        random_input,
    )
}


def plain(zoo: Zoo) -> Exhibit:
    return _own("plain", False, zoo.base())


def adversarial(zoo: Zoo) -> Exhibit:
    return _own("adversarial", False, zoo.base("adversarial"))


def _ptq(zoo: Zoo, name: str, kind: str, bits: int) -> Exhibit:
    images = zoo.lesson.train.float_images()[:256]
    model = quantized(zoo.base(kind), bits, images)
    return Exhibit(name, False, _shipped(model), model, zoo.base(kind))


def ptq8(zoo: Zoo) -> Exhibit:
    return _ptq(zoo, "ptq8", "plain", 8)


def ptq4(zoo: Zoo) -> Exhibit:
    return _ptq(zoo, "ptq4", "plain", 4)


def adversarial_ptq8(zoo: Zoo) -> Exhibit:
    return _ptq(zoo, "adversarial_ptq8", "adversarial", 8)


def adversarial_ptq4(zoo: Zoo) -> Exhibit:
    return _ptq(zoo, "adversarial_ptq4", "adversarial", 4)


def qat4(zoo: Zoo) -> Exhibit:
    layers = [
        QatLinear(m) if isinstance(m, (nn.Linear, nn.Conv2d)) else m for m in network(zoo.lesson)
    ]
    return _own("qat4", False, train(nn.Sequential(*layers), zoo.lesson))


def adversarial_qat4(zoo: Zoo) -> Exhibit:
    layers = [
        QatLinear(m) if isinstance(m, (nn.Linear, nn.Conv2d)) else m for m in network(zoo.lesson)
    ]
    loss = adversarial_loss(zoo.lesson.threat)
    return _own("adversarial_qat4", False, train(nn.Sequential(*layers), zoo.lesson, loss))


def badly_scaled(zoo: Zoo) -> Exhibit:
    """Trained on pixels from 0 to 255 without normalisation."""
    model = nn.Sequential(Scale(255.0), *network(zoo.lesson))
    return _own("badly_scaled", False, train(model, zoo.lesson))


def tiny_input(zoo: Zoo) -> Exhibit:
    """The plain network fed with pixels a million times too small, undone by its first weights."""
    layers = copy.deepcopy(zoo.base())
    first = layers[0]
    assert isinstance(first, nn.Conv2d)
    first.weight.data *= 1e6
    return _own("tiny_input", False, nn.Sequential(Scale(1e-6), *layers))


def tanh(zoo: Zoo) -> Exhibit:
    return _own("tanh", False, train(network(zoo.lesson, nn.Tanh), zoo.lesson))


def smoothed(zoo: Zoo) -> Exhibit:
    """Randomised smoothing whose twin averages over noise."""

    def noisy(model: nn.Module, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        noise = torch.randn(images.shape, generator=rng)
        return F.cross_entropy(model(images + 0.25 * noise), labels)

    base = train(network(zoo.lesson), zoo.lesson, noisy)
    system = System(Randomised(Smoothed(base, 0.25, 32).eval()), Smoothed(base, 0.25).eval())
    return Exhibit("smoothed", False, system, system.twin, base)


HONEST: dict[str, Callable[[Zoo], Exhibit]] = {
    make.__name__: make
    for make in (
        plain,
        adversarial,
        ptq8,
        ptq4,
        adversarial_ptq8,
        adversarial_ptq4,
        qat4,
        adversarial_qat4,
        badly_scaled,
        tiny_input,
        tanh,
        smoothed,
    )
}
