"""Score-based attack: square."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from robench import require, require_positive
from robench_attacks.engine import EngineAttack, art_norm

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from robench import Threat


@dataclass(frozen=True, kw_only=True)
class Square(EngineAttack):
    """Square attack (Andriushchenko et al., 2020): random search, no gradients."""

    sources: ClassVar[Mapping[str, str]] = {"paper": "https://arxiv.org/abs/1912.00049"}

    queries_only: ClassVar[bool] = True

    queries: int = 1000
    """Evaluations of each image at most."""
    share: float = 0.8
    """Share of the pixels in the first squares."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.queries >= 2, f"expected queries >= 2, got {self.queries}")
        require_positive(queries=self.queries, share=self.share)
        require(self.share <= 1, f"expected share <= 1, got {self.share}")

    def candidates(
        self, twin: nn.Module, images: Tensor, labels: Tensor, threat: Threat, rng: torch.Generator
    ) -> Tensor:
        """Squares that raise the margin of the twin's logits."""
        from robench.search import SquareSearch

        search = SquareSearch(queries=self.queries, share=self.share)
        return search.run(twin, images, labels, threat, rng)

    def stock(self, estimator: Any, threat: Threat, batch: int) -> Any:
        """ART's SquareAttack, which asks twice before its first square."""
        from art.attacks.evasion import SquareAttack

        return SquareAttack(
            estimator,
            norm=art_norm(threat.norm),
            eps=threat.eps,
            max_iter=self.queries - 2,
            p_init=self.share,
            batch_size=batch,
            verbose=False,
        )
