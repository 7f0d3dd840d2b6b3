"""The evidence of a run: its stages and outcomes, as metrics see them."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from robench.base.errors import ConfigError
from robench.core.outcomes import Outcomes

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from robench.core.data import Data, Split
    from robench.core.system import System
    from robench.plugin.scenario import AdversarialExamples, Scenario
    from robench.run.stages import Stages
    from robench.smoothing import VoteCertifier

NOTHING = Outcomes(())
"""What a run has to show before it attacked."""


@dataclass(frozen=True)
class RunEvidence:
    """`robench.Evidence`: what a run has to show; its models are made when first asked for."""

    stages: Stages
    outcomes: Outcomes = NOTHING
    examples: tuple[tuple[Scenario, AdversarialExamples], ...] = ()
    tables: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    """Arrays that the audit adds by name: they stand among the record's examples."""

    def copy(self) -> RunEvidence:
        """The same evidence, sharing no data, model, example or table with this one."""
        examples = tuple((s, replace(e, stored=e.stored.clone())) for s, e in self.examples)
        rows = tuple(replace(row) for row in self.outcomes.rows)
        return RunEvidence(self.stages.again(), Outcomes(rows), examples, deepcopy(self.tables))

    def content(self) -> dict[str, Any]:
        """What may be read of the rows, as JSON-like data: each row's name, threat and labels."""
        return {
            "rows": [row.content() for row in self.outcomes.rows],
            "scenarios": [asdict(scenario) for scenario, _ in self.examples],
            "examples": [examples.hash for _, examples in self.examples],
        }

    @property
    def data(self) -> Data:
        """See Evidence."""
        return self.stages.data

    @cached_property
    def numbers(self) -> NDArray[np.int64]:
        """See Evidence."""
        return self.stages.subset.clone().numpy()

    @property
    def test(self) -> Split:
        """See Evidence."""
        return self.stages.test

    @property
    def trained(self) -> nn.Module:
        """See Evidence."""
        return self.stages.trained

    @property
    def mapped(self) -> nn.Module:
        """See Evidence."""
        return self.stages.mapped

    @property
    def finished(self) -> System:
        """See Evidence."""
        return self.stages.finished

    @property
    def system(self) -> System:
        """See Evidence."""
        return self.stages.system

    @property
    def device(self) -> torch.device:
        """See Evidence."""
        return self.stages.device

    @property
    def certifier(self) -> tuple[str, VoteCertifier]:
        """See Evidence; raises ConfigError where the run names none."""
        for name, certifier in self.stages.config.certifier.items():
            return name, certifier
        raise ConfigError(
            "expected a certifier for this metric, got none; set certifier=sequential"
        )

    @property
    def certify_seed(self) -> int:
        """See Evidence."""
        return self.stages.certify_seed

    @property
    def budgets(self) -> dict[str, tuple[float, ...]]:
        """See Evidence."""
        return {s.attack: s.budgets for s, _ in self.examples if s.budgets}

    def adversarial(self, count: int | None = None) -> Tensor | None:
        """See Evidence."""
        for scenario, examples in self.examples:
            if scenario.access == "white_box" and scenario.search == "ball":
                return examples.take(slice(count))
        return None

    def untrained(self) -> nn.Module:
        """See Evidence."""
        return self.stages.untrained()
