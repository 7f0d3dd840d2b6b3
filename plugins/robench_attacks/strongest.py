"""The strongest attack: strongest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from robench import Attack, require

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from robench import Threat
    from robench.search import Target

BUDGETS = ("quick", "whole")


@dataclass(frozen=True, kw_only=True)
class Strongest(Attack):
    """A cascade as strong as AutoAttack in a fraction of its time, judged on the deployed model.

    `robench.search.StrongestSearch` has the stages and what they spend on an image.
    """

    batch: ClassVar[int] = 1000

    budget: Literal["quick", "whole"] = "whole"
    """whole: all of it; quick: two short climbs, for a first look."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.budget in BUDGETS,
            f"expected budget to be one of {', '.join(BUDGETS)}, got {self.budget!r}",
        )

    def run(
        self, twin: nn.Module, images: Tensor, labels: Tensor, threat: Threat, rng: torch.Generator
    ) -> Tensor:
        """Search with the twin as its own judge."""
        from robench.search import Target
        from robench_attacks.engine import is_random

        return self.run_judged(
            Target.of(twin, is_random(twin, images)), images, labels, threat, rng
        )

    def run_judged(
        self, target: Target, images: Tensor, labels: Tensor, threat: Threat, rng: torch.Generator
    ) -> Tensor:
        """Search until the deployed model is wrong; an empty ball gives the clean images."""
        import torch

        from robench import module_device, seed_scope
        from robench.search import StrongestSearch

        if threat.eps == 0:
            return images.clone()
        images, labels = (part.to(module_device(target.twin)) for part in (images, labels))
        # A random twin draws from the global generators.
        with seed_scope(int(torch.randint(2**31, (), generator=rng))):
            search = StrongestSearch(budget=self.budget)
            return search.run(target, images, labels, threat, rng).cpu()
