"""Score-based attack: square."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from robench import require, require_positive
from robench_attacks.engine import EngineAttack, art_norm

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from robench import Threat
    from robench_attacks.art_bridge import Search


@dataclass(frozen=True, kw_only=True)
class Square(EngineAttack):
    """Square attack (Andriushchenko et al., 2020): random search, no gradients."""

    queries_only: ClassVar[bool] = True

    queries: int = 1000
    """Evaluations of each image at most."""
    share: float = 0.8
    """Share of the pixels in the first squares."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.queries >= 2, f"expected queries >= 2, got {self.queries}")
        require_positive(share=self.share)
        require(self.share <= 1, f"expected share <= 1, got {self.share}")

    def search_for(self, threat: Threat, rng: torch.Generator) -> Search:
        """Square on the twin's logits."""
        from robench.search import SquareSearch, searching

        search = SquareSearch(queries=self.queries, share=self.share)

        def run(twin: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
            with searching(twin):
                return search.run(twin, images, labels, threat, rng)

        return run

    def art_class(self) -> Any:
        """ART's SquareAttack."""
        from art.attacks.evasion import SquareAttack

        return SquareAttack

    def art_options(self, threat: Threat, batch: int) -> dict[str, Any]:
        """Norm, radius and queries; ART asks twice before its first square."""
        return {
            "norm": art_norm(threat.norm),
            "eps": threat.eps,
            "max_iter": self.queries - 2,
            "p_init": self.share,
            "batch_size": batch,
            "verbose": False,
        }
