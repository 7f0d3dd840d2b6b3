"""The networks that a run trains: its own, and those from which its attacks transfer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from robench.plugin.components import Defense
from robench.run.attacks import source_of
from robench.run.config import Transfer
from robench.run.examination import surrogate

if TYPE_CHECKING:
    from robench.run.stages import Stages


def trainings(stages: Stages) -> dict[str, Stages]:
    """The stages of every network that a run will surely train, by the hash of its training.

    Nothing is read or made for it. What only a trained system shows to be needed is left out.
    """
    return {one.training: one for one in _trained(stages) if not one.comes_trained}


def _trained(stages: Stages) -> Iterator[Stages]:
    if not stages.model.arrives_finished:
        yield stages
        if stages.config.audit.level == "full" or _is_its_own_parent(stages):
            yield surrogate(stages)
    for name, access in stages.config.access.items():
        if isinstance(access, Transfer):
            yield source_of(stages, name)


def _is_its_own_parent(stages: Stages) -> bool:
    """Whether a quick audit will have no float network to transfer from but one that it trains."""
    changed = any(
        type(one).transform is not Defense.transform or type(one).deploy is not Defense.deploy
        for one in stages.defenses
    )
    plain = list(stages.config.compressor) == ["none"] and not stages.comes_trained
    return stages.config.audit.level == "quick" and plain and not changed
