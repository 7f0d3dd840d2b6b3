"""Randomised smoothing: trained under noise, deployed as a majority vote under noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, Optional

import robench

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from robench.smoothing import Noise

LAWS = ("gaussian", "discrete_gaussian", "rounded_gaussian")
COVERED = 4
"""The wide input map covers the pixels plus this many standard deviations on each side."""


@dataclass(frozen=True, kw_only=True)
class FloatRS(robench.Defense):
    """Randomised smoothing with continuous noise (Cohen et al., 2019)."""

    sources: ClassVar[Mapping[str, str]] = {
        "paper": "https://arxiv.org/abs/1902.02918",
        "code": "https://github.com/locuslab/smoothing",
    }

    without_training: ClassVar[Mapping[str, Any]] = {"train_sigma": 0}

    sigma: float = 0.25
    """Standard deviation of the noise in [0,1] pixels."""
    law: str = "gaussian"
    """gaussian, discrete_gaussian or rounded_gaussian."""
    train_sigma: Optional[float] = None
    """Noise of training in [0,1] pixels; none given: sigma; 0: this defense does not train, so
    that another one can."""
    consistency: float = 0.0
    """Weight of consistency regularisation (Jeong & Shin, 2020) between two noisy copies."""
    wide: bool = True
    """Let an integer network's input map cover the noisy range; false: 0 to 255, saturating."""
    draws: int = 1000
    """Votes behind each prediction of an attacked image, at most."""
    alpha: float = 0.001
    """Probability that a prediction which is given is wrong about the smoothed classifier."""
    samples: int = 8
    """Noisy copies over which the twin averages at each gradient."""

    def __post_init__(self) -> None:
        robench.require(
            self.law in LAWS, f"expected law to be one of {', '.join(LAWS)}, got {self.law!r}"
        )
        robench.require_positive(sigma=self.sigma, draws=self.draws, samples=self.samples)
        robench.require(0 < self.alpha < 0.5, f"expected 0 < alpha < 0.5, got {self.alpha}")
        for name in ("train_sigma", "consistency"):
            value = getattr(self, name)
            robench.require(value is None or value >= 0, f"expected {name} >= 0, got {value}")

    @property
    def changes_training(self) -> bool:
        """Whether it trains: not when its training noise is off."""
        return self.train_sigma != 0

    def adapt(self, compressor: robench.Compressor) -> robench.Compressor:
        """Widen the input map of an integer compressor unless it is given or `wide` is off."""
        names = {field.name for field in fields(compressor)}
        if not self.wide or "input_range" not in names or compressor.input_range is not None:  # type: ignore[attr-defined]
            return compressor
        # A network trained under fake quantization keeps the map that it was trained with.
        trained = (self.train_sigma or self.sigma) if compressor.changes_training else 0.0
        reach = round(COVERED * 255 * (trained or max(self.sigma, self.train_sigma or 0)))
        return replace(compressor, input_range=[-reach, 255 + reach])  # type: ignore[call-arg]

    def as_trained(self) -> FloatRS:
        """The smoothing that trains alike: noise of the training, nothing of the votes."""
        if not self.changes_training:
            return self
        sigma = self.train_sigma or self.sigma
        return type(self)(sigma=sigma, law=self.law, consistency=self.consistency)

    def loss(
        self, model: nn.Module, images: Tensor, labels: Tensor, rng: torch.Generator
    ) -> Tensor:
        """Cross-entropy under noise, plus the consistency term where it is on."""
        import torch.nn.functional as F

        first = model(images + self._noise(images, rng))
        if not self.consistency:
            return F.cross_entropy(first, labels)
        second = model(images + self._noise(images, rng))
        plain = (F.cross_entropy(first, labels) + F.cross_entropy(second, labels)) / 2
        return plain + self.consistency * _consistency(first, second)

    def deploy(self, system: robench.System, context: robench.DeployContext) -> robench.System:
        """Vote under noise; the twin averages class probabilities under Gaussian noise."""
        from robench.smoothing import SmoothedDeployed, SmoothedTwin, to_pixels

        classes = len(context.data.classes)
        noise = self._law(self.sigma)
        deployed = SmoothedDeployed(system.deployed, noise, classes, self.draws, self.alpha)
        deployed.check_fixed(to_pixels(context.data.test.float_images(8)))
        return robench.System(deployed, SmoothedTwin(system.twin, self.sigma, self.samples))

    def adaptive(self, system: robench.System, threat: robench.Threat) -> robench.Attack | None:
        """Ascent on the votes' mean over many draws (Salman et al., 2019)."""
        from robench_defenses.adaptive import AveragedAscent

        del system, threat
        return AveragedAscent()

    def _law(self, sigma: float) -> Noise:
        from robench.smoothing import Noise

        return Noise(sigma=Fraction(str(sigma)), law=self.law)

    def _noise(self, images: Tensor, rng: torch.Generator) -> Tensor:
        """Training noise of the law, in [0,1] units, on the images' device."""
        import torch

        sigma = self.sigma if self.train_sigma is None else self.train_sigma
        if self.law == "gaussian":
            drawn = sigma * torch.randn(images.shape, generator=rng)
        else:
            from robench.smoothing import noise_table, training_noise

            drawn = training_noise(noise_table(self._law(sigma)), images.shape, rng) / 255
        return drawn.to(images.device)


@dataclass(frozen=True, kw_only=True)
class IntRS(FloatRS):
    """Certified smoothing with integers only (Lin et al., ICCV 2021), on an int8 network."""

    sources: ClassVar[Mapping[str, str]] = {"paper": "https://arxiv.org/abs/2108.09413"}

    brings: ClassVar[Mapping[str, Any]] = {
        "compressor": "qat_int8",
        "metric": ["accuracy", "certified"],
        "threat": "l2_radii",
    }

    law: str = "discrete_gaussian"
    """discrete_gaussian or rounded_gaussian (gaussian is FloatRS)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        robench.require(
            self.law != "gaussian", "expected an integer law, got gaussian; use defense=float_rs"
        )


def _consistency(first: Tensor, second: Tensor) -> Tensor:
    """Divergence of both copies from their mean, plus its entropy by half (eq. 6 of the paper)."""
    import torch.nn.functional as F

    logs = [logits.log_softmax(1) for logits in (first, second)]
    mean = ((logs[0].exp() + logs[1].exp()) / 2).clamp_min(1e-20)
    spread = sum(F.kl_div(log, mean, reduction="batchmean") for log in logs) / 2
    entropy = -(mean * mean.log()).sum(1).mean()
    return spread + 0.5 * entropy
