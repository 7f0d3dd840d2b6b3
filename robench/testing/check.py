"""The contract of the audit's checks."""

from __future__ import annotations

from typing import ClassVar

import torch

from robench.audit import guarded
from robench.audit.trial import SystemTrial
from robench.base.seeds import seed_scope
from robench.core.record import Finding
from robench.core.system import FloatDeployed, System
from robench.core.threat import Threat
from robench.plugin.components import Check
from robench.testing.component import ComponentContract
from robench.testing.tiny import tiny_data, tiny_network


class CheckContract(ComponentContract):
    """A check of the audit: findings in sentences, the same ones for the same system."""

    component: ClassVar[Check]

    def _look(self) -> list[Finding]:
        model, test = tiny_network(), tiny_data().test.take(torch.arange(30))
        system, threat = System(FloatDeployed(model), model), Threat("linf", 0.2)
        with seed_scope(0):
            trial = SystemTrial(system, test.float_images(), test.labels, threat, 0, {})
            return guarded.look(self.component, trial, set())

    def test_finds_in_sentences(self) -> None:
        """Each finding says in words what its number means."""
        for finding in self._look():
            assert finding.sentence.endswith("."), f"expected a sentence, got {finding.sentence!r}"

    def test_findings_repeat(self) -> None:
        """For the same system and seed."""
        assert self._look() == self._look()
