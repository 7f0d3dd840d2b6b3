"""Does an answer depend on the images asked beside it?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch

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
    """Clean and attacked images asked again, mixed, some alone and the others in one batch.

    Every attack asks about the images that still hold, in batches that shrink: of a model that
    looks at a whole batch, as batch statistics at test time do, no number of one image is known.
    """

    def look(self, trial: Trial) -> Iterable[Finding]:
        """Counts images whose answer differs; random answers differ anyway, and are not asked.

        Where an answer is a near tie other batch sizes round otherwise, so a few may differ.
        """
        if trial.randomised:
            return
        reference = trial.reference
        images = torch.cat([trial.images, reference.candidates])
        index = torch.cat([torch.arange(len(trial)), reference.index])
        before, wrong = torch.cat([~trial.clean, reference.wrong]), torch.zeros_like(index).bool()
        order = torch.randperm(len(index), generator=generator(trial.seed, "audit", "neighbours"))
        for part in (*order[:ALONE].split(1), order[ALONE:]):
            wrong[part] = trial.wrong(images[part], index[part])
        other = torch.zeros(len(trial), dtype=torch.bool)
        other[index[wrong != before]] = True
        yield share_finding("depends_on_batch", other, len(trial), suspect=SUSPECT)
