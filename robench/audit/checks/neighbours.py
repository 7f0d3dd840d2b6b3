"""Does an answer depend on the images asked beside it?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from robench.audit.contest import SUSPECT
from robench.audit.verdict import share_finding
from robench.base.seeds import generator
from robench.core.record import Finding
from robench.plugin.components import Check
from robench.plugin.trial import Trial

ALONE = 8
"""Images asked one by one; all others come in one batch."""


@dataclass(frozen=True, kw_only=True)
class Neighbours(Check):
    """The same images, clean and attacked, in another order and in batches of other sizes.

    Every attack asks about the images that still hold, in batches that shrink: of a model that
    looks at a whole batch, as batch statistics at test time do, no number of one image is known.
    """

    def look(self, trial: Trial) -> Iterable[Finding]:
        """Counts images whose answer differs; random answers differ anyway, and are not asked.

        Where an answer is a near tie other batch sizes round otherwise, so a few may differ.
        """
        if trial.randomised:
            return
        everything, reference = torch.arange(len(trial)), trial.reference
        other = self._wrong(trial, trial.images, everything) == trial.clean
        attacked = self._wrong(trial, reference.candidates, reference.index)
        other[reference.index] |= attacked != reference.wrong
        yield share_finding("depends_on_batch", other, len(trial), suspect=SUSPECT)

    @staticmethod
    def _wrong(trial: Trial, images: Tensor, index: Tensor) -> Tensor:
        rng = generator(trial.seed, "audit", "neighbours")
        order = torch.randperm(len(index), generator=rng)
        wrong = torch.zeros(len(index), dtype=torch.bool)
        for part in (*order[:ALONE].split(1), order[ALONE:]):
            wrong[part] = trial.wrong(images[part], index[part])
        return wrong
