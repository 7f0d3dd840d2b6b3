"""Models whose truth can be measured: some are built to mask their gradients, some are not.

Every entry is a system as a run would attack it, and `adaptive`, a module that computes about the
same function with usable gradients: with it an attacker who knows the trick breaks the system.
What is masked in truth `benchmarks/audit/truth.py` decides, by attacks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import nn

from robench.base.seeds import seed_scope
from tests.audit.zoo.bent import (
    backward_blurred,
    backward_flipped,
    backward_masked,
    decoy_gradient,
    nograd_decoy,
)
from tests.audit.zoo.clipped import (
    clip_plateau,
    decoy_plateau,
    int8_logits,
    manual_softmax,
    thermometer,
    trapdoor,
)
from tests.audit.zoo.compressed import (
    adversarial_ptq4,
    adversarial_ptq8,
    adversarial_qat4,
    ptq4,
    ptq8,
    qat4,
)
from tests.audit.zoo.cut import (
    activation_rounding,
    gradient_stop,
    input_rounding,
    numpy_preprocessing,
    shattered,
    winners,
)
from tests.audit.zoo.exhibit import Exhibit
from tests.audit.zoo.lessons import Lesson
from tests.audit.zoo.networks import adversarial_loss, network, plain_loss, train
from tests.audit.zoo.plainly import adversarial, badly_scaled, plain, tanh, tiny_input
from tests.audit.zoo.randomised import (
    random_crop,
    random_decoys,
    random_input,
    random_pruning,
    smoothed,
    strong_noise,
    watched_noise,
)
from tests.audit.zoo.saturated import (
    distilled,
    extra_softmax,
    mulaw,
    saturated_sigmoid,
    scaled_logits,
)
from tests.audit.zoo.smooth import (
    bfloat16,
    float64,
    gelu,
    large_margin_linear,
    linear,
    lipschitz_maxmin,
    maxout,
    smoothing_fixed,
    temperature_scaled,
)

Maker = Callable[["Zoo"], Exhibit]


def _named(*makers: Maker) -> dict[str, Maker]:
    return {make.__name__: make for make in makers}


MASKED = _named(
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
    random_decoys,
    watched_noise,
    backward_flipped,
    backward_blurred,
    backward_masked,
    decoy_gradient,
    nograd_decoy,
    clip_plateau,
    decoy_plateau,
    manual_softmax,
    int8_logits,
    thermometer,
    trapdoor,
)
"""Built to mask their gradients."""

HONEST = _named(
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
    random_crop,
    strong_noise,
    linear,
    large_margin_linear,
    lipschitz_maxmin,
    maxout,
    smoothing_fixed,
    bfloat16,
    float64,
    gelu,
    temperature_scaled,
)
"""Built without a trick."""


@dataclass
class Zoo:
    """The exhibits of one data set, each trained when asked for."""

    lesson: Lesson
    _made: dict[str, nn.Sequential] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """All exhibits: those built to mask first."""
        return (*MASKED, *HONEST)

    def build(self, name: str) -> Exhibit:
        """One exhibit by its name, the same every time."""
        with seed_scope(0):
            return {**MASKED, **HONEST}[name](self)

    def base(self, kind: str = "plain") -> nn.Sequential:
        """A trained network: plain, or adversarially trained; trained once."""
        if kind not in self._made:
            loss = adversarial_loss(self.lesson.threat) if kind == "adversarial" else plain_loss
            model = train(network(self.lesson), self.lesson, loss)
            assert isinstance(model, nn.Sequential)
            self._made[kind] = model
        return self._made[kind]
