"""Gradient attacks inside a ball: fgsm, pgd, bim, mim."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from robench import require, require_positive
from robench_attacks.engine import EngineAttack, art_norm

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from robench import Threat
    from robench.search import GradientSearch
    from robench_attacks.art_bridge import Search

LOSSES = ("cross_entropy", "margin", "dlr")


@dataclass(frozen=True, kw_only=True)
class _Ascent(EngineAttack):
    """What the four have in common: a setting of one gradient search."""

    @abstractmethod
    def settings(self) -> GradientSearch:
        """The search that the options describe."""

    def search_for(self, threat: Threat, rng: torch.Generator) -> Search:
        """The gradient search under a threat; of one start on a random twin the last iterate.

        The best iterate by a few random answers is a lucky one, not one near the best.
        """
        settings = self.settings()

        def run(twin: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
            best = settings.best and (settings.restarts > 1 or not _random(twin, images[:4]))
            return replace(settings, best=best).run(twin, images, labels, threat, rng)

        return run


def _random(twin: nn.Module, images: Tensor) -> bool:
    """Whether two answers to the same images differ by more than rounding."""
    import torch

    from robench.search import searching

    with searching(twin), torch.no_grad():
        first, second = twin(images), twin(images)
    return not torch.allclose(first, second, rtol=1e-3, atol=1e-3, equal_nan=True)


@dataclass(frozen=True, kw_only=True)
class FGSM(_Ascent):
    """Fast gradient sign method (Goodfellow et al., 2015): one step of the full radius."""

    def settings(self) -> GradientSearch:
        """One step, its result returned as it is."""
        from robench.search import GradientSearch

        return GradientSearch(steps=1, best=False)

    def art_class(self) -> Any:
        """ART's FastGradientMethod."""
        from art.attacks.evasion import FastGradientMethod

        return FastGradientMethod

    def art_options(self, threat: Threat, batch: int) -> dict[str, Any]:
        """Norm and radius."""
        return {
            "norm": art_norm(threat.norm),
            "eps": threat.eps,
            "eps_step": threat.eps,
            "batch_size": batch,
        }


@dataclass(frozen=True, kw_only=True)
class _Iterated(_Ascent):
    """Several steps of a stated size."""

    steps: int = 10
    """Gradient steps."""
    step: float = 1.0
    """Step size in units of eps / steps."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(steps=self.steps, step=self.step)

    def art_options(self, threat: Threat, batch: int) -> dict[str, Any]:
        """Radius, step size and number of steps."""
        assert threat.eps is not None
        return {
            "eps": threat.eps,
            "eps_step": self.step * threat.eps / self.steps,
            "max_iter": self.steps,
            "batch_size": batch,
            "verbose": False,
        }


@dataclass(frozen=True, kw_only=True)
class BIM(_Iterated):
    """Basic iterative method (Kurakin et al., 2017): repeated small FGSM steps."""

    def settings(self) -> GradientSearch:
        """Plain steps from the clean image."""
        from robench.search import GradientSearch

        return GradientSearch(steps=self.steps, step=self.step)

    def art_class(self) -> Any:
        """ART's BasicIterativeMethod."""
        from art.attacks.evasion import BasicIterativeMethod

        return BasicIterativeMethod

    def art_options(self, threat: Threat, batch: int) -> dict[str, Any]:
        """As for every iteration; ART's class knows Linf alone."""
        self.refuse_with_art(**{"norm=l2": threat.norm != "linf"})
        return super().art_options(threat, batch)


@dataclass(frozen=True, kw_only=True)
class MIM(_Iterated):
    """Momentum iterative method (Dong et al., 2018)."""

    decay: float = 1.0
    """What each step keeps of the gradients gathered before it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.decay >= 0, f"expected decay >= 0, got {self.decay}")

    def settings(self) -> GradientSearch:
        """Steps along the momentum."""
        from robench.search import GradientSearch

        return GradientSearch(steps=self.steps, step=self.step, decay=self.decay)

    def art_class(self) -> Any:
        """ART's MomentumIterativeMethod."""
        from art.attacks.evasion import MomentumIterativeMethod

        return MomentumIterativeMethod

    def art_options(self, threat: Threat, batch: int) -> dict[str, Any]:
        """Norm and decay besides."""
        options = super().art_options(threat, batch)
        return options | {"norm": art_norm(threat.norm), "decay": self.decay}


@dataclass(frozen=True, kw_only=True)
class PGD(_Iterated):
    """Projected gradient descent (Madry et al., 2018)."""

    steps: int = 40
    """Gradient steps."""
    step: float = 2.5
    """Step size in units of eps / steps."""
    random_start: bool = True
    """Start at a random point of the ball."""
    restarts: int = 1
    """Starts; each after the first attacks the images that are still right on the twin. With
    several, the best iterate is kept even on a random twin."""
    loss: str = "cross_entropy"
    """cross_entropy, margin or dlr."""
    temperature: float = 1.0
    """Divides the logits before the loss."""
    samples: int = 1
    """Evaluations averaged at each step: expectation over the randomness of the twin."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(restarts=self.restarts, temperature=self.temperature, samples=self.samples)
        require(
            self.loss in LOSSES,
            f"expected loss to be one of {', '.join(LOSSES)}, got {self.loss!r}",
        )
        require(
            self.random_start or self.restarts == 1,
            "expected restarts=1 without random_start: every start is the same",
        )
        self.refuse_with_art(
            loss=self.loss != "cross_entropy",
            temperature=self.temperature != 1,
            samples=self.samples != 1,
        )

    def settings(self) -> GradientSearch:
        """The options as they stand."""
        from robench.search import GradientSearch

        return GradientSearch(
            steps=self.steps,
            step=self.step,
            random_start=self.random_start,
            restarts=self.restarts,
            loss=self.loss,
            temperature=self.temperature,
            samples=self.samples,
        )

    def art_class(self) -> Any:
        """ART's PGD for PyTorch."""
        from art.attacks.evasion import ProjectedGradientDescentPyTorch

        return ProjectedGradientDescentPyTorch

    def art_options(self, threat: Threat, batch: int) -> dict[str, Any]:
        """Norm and starts besides; ART counts a first start at the clean image as none."""
        options = super().art_options(threat, batch)
        starts = self.restarts if self.random_start else 0
        return options | {"norm": art_norm(threat.norm), "num_random_init": starts}
