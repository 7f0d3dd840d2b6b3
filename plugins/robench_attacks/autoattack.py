"""ART's collection of attacks: art_autoattack."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from robench import Attack, require_positive
from robench_attacks.engine import art_norm

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from robench import Threat


@dataclass(frozen=True, kw_only=True)
class ArtAutoAttack(Attack):
    """ART's AutoAttack, which is not the original of Croce & Hein (2020).

    ART runs APGD on cross-entropy, APGD on DLR, DeepFool and Square. The original runs APGD on
    cross-entropy, targeted APGD on DLR, targeted FAB and Square with 5,000 queries: a figure made
    here must not be published as AutoAttack's.
    """

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
