"""The strongest attack: strongest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from robench import require
from robench_attacks.engine import JudgedAttack

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from robench import Threat
    from robench.search import Target

BUDGETS = ("quick", "whole")


@dataclass(frozen=True, kw_only=True)
class Strongest(JudgedAttack):
    """A cascade as strong as AutoAttack in Linf, nearly so in L2, judged on the deployed model.

    `robench.search.StrongestSearch` has the stages and what they spend on an image.
    """

    version: ClassVar[str] = "4"
    batch: ClassVar[int] = 1000

    budget: Literal["quick", "whole"] = "whole"
    """whole: all of it; quick: one short climb, for a first look."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.budget in BUDGETS,
            f"expected budget to be one of {', '.join(BUDGETS)}, got {self.budget!r}",
        )

    def version_in(self, norm: str | None) -> str:
        """In Linf still 2: FAB and the ratio, which came with 3 and 4, are tried in L2 alone."""
        return "2" if norm == "linf" else self.version

    def candidates(
        self, target: Target, images: Tensor, labels: Tensor, threat: Threat, rng: torch.Generator
    ) -> Tensor:
        """The cascade, until the deployed model is wrong."""
        from robench.search import StrongestSearch

        return StrongestSearch(budget=self.budget).run(target, images, labels, threat, rng)
