"""A trial as a plugin's check sees it: copies to read, and only legal candidates count."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, cast

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from robench.audit.trial import SystemTrial
from robench.base.errors import PluginError
from robench.base.text import one_line
from robench.core.record import Finding
from robench.core.sentences import is_own
from robench.core.system import System
from robench.plugin import guest
from robench.plugin.components import Check
from robench.plugin.trial import Attacker, Reference, Trial

if TYPE_CHECKING:
    from robench.core.threat import Threat
    from robench.search import Callback, GradientSearch


def look(check: Check, trial: SystemTrial, known: set[str]) -> list[Finding]:
    """A plugin's findings about a trial; raises PluginError for what is no finding of its own.

    `known` are the names that earlier findings have.
    """
    # Its attributes are copies, so that nobody needs to set them.
    found = guest.collect(check, check.look, cast(Trial, GuardedTrial(trial)))
    for finding in found:
        name = guest.name_of(check)
        if not isinstance(finding, Finding):
            raise PluginError(f"expected findings of {name}, got {type(finding).__name__}")
        if finding.check in known or is_own(finding.check):
            raise PluginError(
                f"expected findings of {name} to have names of their own, got {finding.check!r}; "
                "a check of the audit has this one"
            )
    return [_checked(check, finding) for finding in found]


def _checked(check: Check, finding: Finding) -> Finding:
    try:
        return Finding.model_validate(finding.model_dump(warnings=False))
    except (ValidationError, TypeError, AttributeError) as error:
        text = one_line(error)
        raise PluginError(f"expected findings of {guest.name_of(check)}, got: {text}") from error


class GuardedTrial:
    """`robench.Trial` over another one: nothing that is read from it can be changed through it."""

    def __init__(self, trial: SystemTrial) -> None:
        self.__trial = trial
        self.__answers = guest.Answers("the deployed model", trial.system.deployed)
        # Copied once: a check that spoils its copies spoils them for itself.
        self.images = trial.images.clone()
        self.labels = trial.labels.clone()
        self.threat = replace(trial.threat)
        self.seed, self.steps, self.thrifty = trial.seed, trial.steps, trial.thrifty
        self.randomised = trial.randomised
        self.unstable, self.clean = trial.unstable.clone(), trial.clean.clone()
        self.attacks: Mapping[str, Attacker] = deepcopy(dict(trial.attacks))
        self.adaptive: Mapping[str, Attacker] = deepcopy(dict(trial.adaptive))
        self.sources: Mapping[str, Callable[[], nn.Module]] = {
            name: partial(_copy_of, name, make) for name, make in trial.sources.items()
        }

    @cached_property
    def system(self) -> System:
        """See Trial; the deployed model answers and does nothing else."""
        return System(self.__answers, guest.own_twin(self.__trial.system))

    @property
    def held(self) -> Tensor:
        """See Trial."""
        return self.__trial.held.clone()

    @property
    def tried(self) -> dict[str, Tensor]:
        """See Trial."""
        return {name: broken.clone() for name, broken in self.__trial.tried.items()}

    @property
    def alone(self) -> dict[str, Tensor]:
        """See Trial."""
        return {name: right.clone() for name, right in self.__trial.alone.items()}

    def __len__(self) -> int:
        return len(self.__trial)

    @property
    def eps(self) -> float:
        """See Trial."""
        return self.__trial.eps

    @property
    def findings(self) -> list[Finding]:
        """See Trial."""
        return list(self.__trial.findings)

    @property
    def sound(self) -> bool:
        """See Trial."""
        return self.__trial.sound

    @property
    def forms(self) -> dict[str, nn.Module]:
        """See Trial."""
        return {name: guest.own_copy(name, form) for name, form in self.__trial.forms.items()}

    @property
    def smoother(self) -> nn.Module | None:
        """See Trial."""
        smoother = self.__trial.smoother
        return None if smoother is None else guest.own_copy("the smoother twin", smoother)

    def strongest(self, name: str, twin: nn.Module) -> None:
        """See Trial."""
        self.__trial.strongest(name, twin)

    @property
    def left(self) -> Tensor:
        """See Trial."""
        return self.__trial.left

    @property
    def usual(self) -> GradientSearch:
        """See Trial."""
        return self.__trial.usual

    @property
    def reference(self) -> Reference:
        """See Trial."""
        return deepcopy(self.__trial.reference)

    def ascent(self, loss: str = "margin") -> GradientSearch:
        """See Trial."""
        return self.__trial.ascent(loss)

    def search(
        self,
        name: str,
        twin: nn.Module,
        search: GradientSearch,
        index: Tensor,
        threat: Threat | None = None,
        callback: Callback | None = None,
    ) -> Tensor:
        """See Trial; raises PluginError for an index that is none."""
        index = self._index(index)
        return self.__trial.search(name, twin, search, index, threat, callback).clone()

    def attempt(self, name: str, candidates: Tensor, index: Tensor) -> Tensor:
        """See Trial; raises PluginError for candidates outside the threat model."""
        if not isinstance(name, str):
            raise PluginError(f"expected a name for what is tried, got {type(name).__name__}")
        index = self._index(index)
        found = self._candidates(candidates, index)
        outside = ~self.__trial.threat.contains(found, self.__trial.images[index])
        if bool(outside.any()):
            raise PluginError(
                f"expected candidates in the threat model ({self.__trial.threat}), got "
                f"{int(outside.sum())} of {len(index)} outside; bring them back with "
                "trial.threat.project"
            )
        return self.__trial.attempt(name, found, index).clone()

    def wrong(self, candidates: Tensor, index: Tensor) -> Tensor:
        """See Trial; raises PluginError for candidates of another shape or not finite."""
        index = self._index(index)
        return self.__trial.wrong(self._candidates(candidates, index), index).clone()

    def _index(self, index: Any) -> Tensor:
        """A copy of positions, each once; raises PluginError."""
        good = isinstance(index, torch.Tensor) and index.dtype == torch.int64 and index.dim() == 1
        if not good:
            raise PluginError(f"expected an index of int64 positions (M,), got {index!r:.80}")
        own: Tensor = index.detach().to("cpu", copy=True)
        low, high = (int(own.min()), int(own.max())) if len(own) else (0, 0)
        if low < 0 or high >= len(self) or len(own.unique()) != len(own):
            raise PluginError(
                f"expected an index of different positions in 0..{len(self) - 1}, got "
                f"{len(own)} in {low}..{high}"
            )
        return own

    def _candidates(self, candidates: Any, index: Tensor) -> Tensor:
        return guest.plain_tensor(candidates, (len(index), *self.__trial.images.shape[1:]))


def _copy_of(name: str, make: Callable[[], nn.Module]) -> nn.Module:
    return guest.own_copy(name, make()).eval()
