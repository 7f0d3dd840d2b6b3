"""AutoAttack and its parts: apgd, fab, autoattack; and ART's collection, art_autoattack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from robench import Attack, require, require_positive
from robench_attacks.engine import JudgedAttack, art_norm
from robench_attacks.gradient import LOSSES

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from robench import Threat
    from robench.search import Target


@dataclass(frozen=True, kw_only=True)
class APGD(JudgedAttack):
    """Auto-PGD (Croce & Hein, 2020): momentum, and steps that halve themselves."""

    sources: ClassVar[Mapping[str, str]] = {"paper": "https://arxiv.org/abs/2003.01690"}

    steps: int = 100
    """Gradient steps."""
    restarts: int = 1
    """Random starts; each after the first attacks the images that still hold."""
    loss: str = "cross_entropy"
    """cross_entropy, margin, dlr or probability_margin."""
    targets: int = 0
    """Classes climbed to, the likeliest first (9 with loss=dlr is AutoAttack's APGD-T); 0: away
    from the label."""
    samples: int = 1
    """Evaluations averaged at each step: expectation over the randomness of the twin."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(steps=self.steps, restarts=self.restarts, samples=self.samples)
        _require_targets(self.targets)
        require(
            self.loss in LOSSES,
            f"expected loss to be one of {', '.join(LOSSES)}, got {self.loss!r}",
        )

    def candidates(
        self, target: Target, images: Tensor, labels: Tensor, threat: Threat, rng: torch.Generator
    ) -> Tensor:
        """Climbs from random starts, every iterate judged."""
        from robench.search import ApgdSearch

        search = ApgdSearch(
            steps=self.steps,
            loss=self.loss,
            targets=self.targets,
            restarts=self.restarts,
            samples=self.samples,
        )
        return search.run(target, images, labels, threat, rng)


@dataclass(frozen=True, kw_only=True)
class FAB(JudgedAttack):
    """Fast adaptive boundary attack (Croce & Hein, 2020): the nearest error, if it lies within eps.

    As a part of AutoAttack it works inside a ball: an image stops at its first error there, and one
    whose errors all lie farther out is returned as it is.
    """

    sources: ClassVar[Mapping[str, str]] = {"paper": "https://arxiv.org/abs/1907.02044"}

    steps: int = 100
    """Steps to linearised boundaries, from each start."""
    targets: int = 9
    """Classes tried, the likeliest first; 0: at each step the nearest, which differentiates every
    logit."""
    restarts: int = 1
    """Starts for each class; those after the first at random, half of eps away."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(steps=self.steps, restarts=self.restarts)
        _require_targets(self.targets)

    def candidates(
        self, target: Target, images: Tensor, labels: Tensor, threat: Threat, rng: torch.Generator
    ) -> Tensor:
        """The nearest errors inside the ball; else the clean images."""
        from robench.search import FabSearch

        search = FabSearch(steps=self.steps, targets=self.targets, restarts=self.restarts)
        return search.run(target, images, labels, threat, rng)


@dataclass(frozen=True, kw_only=True)
class AutoAttack(JudgedAttack):
    """AutoAttack (Croce & Hein, 2020) with the parameters of its published code, in robench's body.

    Each attack works on what the ones before it left, on the 8-bit grid where the threat asks for
    it, and an image counts as broken when the deployed model is wrong.
    """

    sources: ClassVar[Mapping[str, str]] = {
        "paper": "https://arxiv.org/abs/2003.01690",
        "code": "https://github.com/fra31/auto-attack",
    }

    variant: Literal["standard", "plus", "rand"] = "standard"
    """The published code's version. standard: APGD, targeted APGD, targeted FAB and Square; plus:
    restarts and untargeted parts besides; rand: APGD averaging 20 evaluations, for randomised
    models."""

    def candidates(
        self, target: Target, images: Tensor, labels: Tensor, threat: Threat, rng: torch.Generator
    ) -> Tensor:
        """What the ensemble breaks."""
        from robench.search import AutoAttackSearch

        return AutoAttackSearch(variant=self.variant).run(target, images, labels, threat, rng)


def _require_targets(targets: int) -> None:
    require(targets >= 0, f"expected targets >= 0, got {targets}")


@dataclass(frozen=True, kw_only=True)
class ArtAutoAttack(Attack):
    """ART's AutoAttack, which is not the original of Croce & Hein (2020).

    ART runs APGD on cross-entropy, APGD on DLR, DeepFool and Square. It is weaker than the original
    ensemble, which `autoattack` is: a figure made here must not be published as AutoAttack's.
    """

    sources: ClassVar[Mapping[str, str]] = {
        "paper": "https://arxiv.org/abs/2003.01690",
        "code": "https://github.com/Trusted-AI/adversarial-robustness-toolbox",
    }

    steps: int = 100
    """Steps of APGD and DeepFool."""
    restarts: int = 1
    """Starts of APGD and Square (ART's own default is 5)."""
    queries: int = 1000
    """Queries of Square (ART's own default is 5,000)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(steps=self.steps, restarts=self.restarts, queries=self.queries)

    def run(
        self, twin: nn.Module, images: Tensor, labels: Tensor, threat: Threat, rng: torch.Generator
    ) -> Tensor:
        """Run the attacks in turn, each on the images that are still right."""
        from robench_attacks.art_bridge import run_art

        if threat.eps == 0:
            return images.clone()
        build = partial(self._build, threat=threat, batch=len(images))
        return run_art(build, twin, images, labels, rng)

    def _build(self, classifier: Any, threat: Threat, batch: int) -> Any:
        from art.attacks.evasion import AutoAttack

        return AutoAttack(
            classifier,
            norm=art_norm(threat.norm),
            eps=threat.eps,
            eps_step=threat.eps,
            attacks=self._attacks(classifier, threat, batch),
            batch_size=batch,
        )

    def _attacks(self, classifier: Any, threat: Threat, batch: int) -> list[Any]:
        from art.attacks.evasion import AutoProjectedGradientDescent, DeepFool, SquareAttack

        norm, eps = art_norm(threat.norm), threat.eps
        losses = ["cross_entropy"]
        if classifier.nb_classes > 2:  # ART's DLR reads the third largest logit.
            losses.append("difference_logits_ratio")
        ascents = [
            AutoProjectedGradientDescent(
                classifier,
                norm=norm,
                eps=eps,
                eps_step=eps,
                max_iter=self.steps,
                nb_random_init=self.restarts,
                batch_size=batch,
                loss_type=loss,
                verbose=False,
            )
            for loss in losses
        ]
        deepfool = DeepFool(
            classifier, max_iter=self.steps, epsilon=1e-3, batch_size=batch, verbose=False
        )
        square = SquareAttack(
            classifier,
            norm=norm,
            eps=eps,
            max_iter=self.queries,
            nb_restarts=self.restarts,
            batch_size=batch,
            verbose=False,
        )
        return [*ascents, deepfool, square]
