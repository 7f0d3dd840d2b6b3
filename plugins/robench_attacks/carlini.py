"""Minimum-norm attack: cw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from robench import require_positive
from robench_attacks.engine import EngineAttack

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from robench import Threat


@dataclass(frozen=True, kw_only=True)
class CW(EngineAttack):
    """Carlini & Wagner's L2 attack (2017): the nearest error; eps are budgets, not a bound."""

    sources: ClassVar[Mapping[str, str]] = {"paper": "https://arxiv.org/abs/1608.04644"}

    search: ClassVar[Literal["ball", "minimal", "noise"]] = "minimal"
    norms: ClassVar[tuple[str, ...]] = ("l2",)

    search_steps: int = 5
    """Constants tried for each image."""
    steps: int = 30
    """Gradient steps for each constant."""
    learning_rate: float = 0.05
    """Root-mean-square change of a pixel in the first step (engine=art: its learning rate)."""
    initial_const: float = 1.0
    """First weight of the margin against the squared distance. The right one is inverse to the
    scale of the logits, so it is searched for: times 10 until the image breaks, then halved."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(
            search_steps=self.search_steps,
            steps=self.steps,
            learning_rate=self.learning_rate,
            initial_const=self.initial_const,
        )

    def candidates(
        self, twin: nn.Module, images: Tensor, labels: Tensor, threat: Threat, rng: torch.Generator
    ) -> Tensor:
        """The nearest errors, judged where the threat puts them; nothing is drawn at random."""
        from robench.search import CarliniSearch

        search = CarliniSearch(
            search_steps=self.search_steps,
            steps=self.steps,
            learning_rate=self.learning_rate,
            initial_const=self.initial_const,
        )
        return search.run(twin, images, labels, threat)

    def stock(self, estimator: Any, threat: Threat, batch: int) -> Any:
        """ART's CarliniL2Method, which adds a line search and forgets the 8-bit grid."""
        from art.attacks.evasion import CarliniL2Method

        return CarliniL2Method(
            estimator,
            binary_search_steps=self.search_steps,
            max_iter=self.steps,
            learning_rate=self.learning_rate,
            initial_const=self.initial_const,
            batch_size=batch,
            verbose=False,
        )
