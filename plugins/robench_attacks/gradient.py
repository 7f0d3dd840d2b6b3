"""Gradient attacks inside a ball: fgsm, pgd, bim, mim; the loop is `robench.search.GradientSearch`.

Of one start on a random twin the last iterate is kept: the best iterate by a few random answers is
a lucky one, not one near the best.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from robench import require, require_positive
from robench_attacks.engine import EngineAttack, art_norm, is_random

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from robench import Threat

LOSSES = ("cross_entropy", "margin", "dlr", "probability_margin")


@dataclass(frozen=True, kw_only=True)
class FGSM(EngineAttack):
    """Fast gradient sign method (Goodfellow et al., 2015): one step of the full radius."""

    sources: ClassVar[Mapping[str, str]] = {"paper": "https://arxiv.org/abs/1412.6572"}

    def candidates(
        self, twin: nn.Module, images: Tensor, labels: Tensor, threat: Threat, rng: torch.Generator
    ) -> Tensor:
        """One step, its result returned as it is."""
        from robench.search import GradientSearch

        return GradientSearch(steps=1, best=False).run(twin, images, labels, threat, rng)

    def stock(self, estimator: Any, threat: Threat, batch: int) -> Any:
        """ART's FastGradientMethod."""
        from art.attacks.evasion import FastGradientMethod

        norm, eps = art_norm(threat.norm), threat.eps
        return FastGradientMethod(estimator, norm=norm, eps=eps, eps_step=eps, batch_size=batch)


@dataclass(frozen=True, kw_only=True)
class BIM(EngineAttack):
    """Basic iterative method (Kurakin et al., 2017): repeated small FGSM steps."""

    sources: ClassVar[Mapping[str, str]] = {"paper": "https://arxiv.org/abs/1607.02533"}

    steps: int = 10
    """Gradient steps."""
    step: float = 1.0
    """Step size in units of eps / steps."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(steps=self.steps, step=self.step)

    def candidates(
        self, twin: nn.Module, images: Tensor, labels: Tensor, threat: Threat, rng: torch.Generator
    ) -> Tensor:
        """Plain steps from the clean image."""
        from robench.search import GradientSearch

        search = GradientSearch(steps=self.steps, step=self.step, best=not is_random(twin, images))
        return search.run(twin, images, labels, threat, rng)

    def stock(self, estimator: Any, threat: Threat, batch: int) -> Any:
        """ART's BasicIterativeMethod, which knows Linf alone."""
        from art.attacks.evasion import BasicIterativeMethod

        self.refuse_with_art(**{"norm=l2": threat.norm != "linf"})
        return BasicIterativeMethod(estimator, **_steps(self, threat, batch))


@dataclass(frozen=True, kw_only=True)
class MIM(EngineAttack):
    """Momentum iterative method (Dong et al., 2018)."""

    sources: ClassVar[Mapping[str, str]] = {"paper": "https://arxiv.org/abs/1710.06081"}

    steps: int = 10
    """Gradient steps."""
    step: float = 1.0
    """Step size in units of eps / steps."""
    decay: float = 1.0
    """What each step keeps of the gradients gathered before it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(steps=self.steps, step=self.step)
        require(self.decay >= 0, f"expected decay >= 0, got {self.decay}")

    def candidates(
        self, twin: nn.Module, images: Tensor, labels: Tensor, threat: Threat, rng: torch.Generator
    ) -> Tensor:
        """Steps along the momentum."""
        from robench.search import GradientSearch

        search = GradientSearch(
            steps=self.steps,
            step=self.step,
            decay=self.decay,
            best=not is_random(twin, images),
        )
        return search.run(twin, images, labels, threat, rng)

    def stock(self, estimator: Any, threat: Threat, batch: int) -> Any:
        """ART's MomentumIterativeMethod."""
        from art.attacks.evasion import MomentumIterativeMethod

        return MomentumIterativeMethod(
            estimator,
            norm=art_norm(threat.norm),
            decay=self.decay,
            **_steps(self, threat, batch),
        )


@dataclass(frozen=True, kw_only=True)
class PGD(EngineAttack):
    """Projected gradient descent (Madry et al., 2018)."""

    sources: ClassVar[Mapping[str, str]] = {"paper": "https://arxiv.org/abs/1706.06083"}

    steps: int = 40
    """Gradient steps."""
    step: float = 2.5
    """Step size in units of eps / steps."""
    random_start: bool = True
    """Start at a random point of the ball."""
    restarts: int = 1
    """Starts; each after the first attacks the images that are still right on the twin, on the
    8-bit grid if the threat has one. With several, the best iterate is kept even on a random
    twin."""
    loss: str = "cross_entropy"
    """cross_entropy, margin, dlr or probability_margin."""
    temperature: float = 1.0
    """Divides the logits before the loss."""
    samples: int = 1
    """Evaluations averaged at each step: expectation over the randomness of the twin."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(
            steps=self.steps,
            step=self.step,
            restarts=self.restarts,
            temperature=self.temperature,
            samples=self.samples,
        )
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
        if self.restarts > 1:
            # Since restarts count on the grid, theirs alone are other numbers: one start keeps its.
            object.__setattr__(self, "version", "2")

    def candidates(
        self, twin: nn.Module, images: Tensor, labels: Tensor, threat: Threat, rng: torch.Generator
    ) -> Tensor:
        """Steps from each start, projected onto the ball."""
        from robench.search import GradientSearch

        search = GradientSearch(
            steps=self.steps,
            step=self.step,
            random_start=self.random_start,
            restarts=self.restarts,
            loss=self.loss,
            temperature=self.temperature,
            samples=self.samples,
            best=self.restarts > 1 or not is_random(twin, images),
        )
        return search.run(twin, images, labels, threat, rng)

    def stock(self, estimator: Any, threat: Threat, batch: int) -> Any:
        """ART's PGD for PyTorch, which counts a first start at the clean image as none."""
        from art.attacks.evasion import ProjectedGradientDescentPyTorch

        return ProjectedGradientDescentPyTorch(
            estimator,
            norm=art_norm(threat.norm),
            num_random_init=self.restarts if self.random_start else 0,
            **_steps(self, threat, batch),
        )


def _steps(attack: BIM | MIM | PGD, threat: Threat, batch: int) -> dict[str, Any]:
    """Radius, step size and number of steps as ART's iterative classes take them."""
    assert threat.eps is not None
    return {
        "eps": threat.eps,
        "eps_step": attack.step * threat.eps / attack.steps,
        "max_iter": attack.steps,
        "batch_size": batch,
        "verbose": False,
    }
