"""What a metric may read of a run; nothing is computed before it is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from robench.core.data import Data, Split
    from robench.core.outcomes import Outcomes
    from robench.core.system import System
    from robench.run.attacks import Crafted
    from robench.run.crafting import Row
    from robench.run.stages import Steps


@dataclass(frozen=True)
class Evidence:
    """A run's data, models and outcomes, for metrics."""

    steps: Steps
    outcomes: Outcomes
    """The judged images' outcomes, row by row; `outcomes.to_pandas()` is their table."""
    examples: tuple[tuple[Row, Crafted], ...]
    """Each valid row with its candidates."""
    tables: dict[str, Mapping[str, Any] | pd.DataFrame] = field(default_factory=dict)
    """Tables that metrics and the audit add, each a mapping of columns or a pandas frame: NAME
    becomes NAME.parquet beside the record."""
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    """Arrays that the audit adds by name: they stand among the record's examples."""

    @property
    def data(self) -> Data:
        """The whole data set."""
        return self.steps.data

    @property
    def test(self) -> Split:
        """The judged test images."""
        return self.steps.test

    @property
    def trained(self) -> nn.Module:
        """The trained float network, before maps and compression."""
        return self.steps.trained

    @property
    def mapped(self) -> nn.Module:
        """The network after the defenses' transforms; the trained one when there are none."""
        return self.steps.mapped

    @property
    def system(self) -> System:
        """The attacked and judged system."""
        return self.steps.system

    @property
    def budgets(self) -> dict[str, tuple[float, ...]]:
        """Eps at which a minimum-norm attack's accuracy is given, by attack."""
        return {row.attack: row.budgets for row, _ in self.examples if row.budgets}

    def adversarial(self) -> Tensor | None:
        """The candidates of the first white-box row inside a ball, or None; [0,1], (N, C, H, W)."""
        for row, crafted in self.examples:
            if row.access == "white_box" and row.component.search == "ball":
                return crafted.images
        return None

    def cached(self, step: str, inputs: dict[str, Any], make: Callable[[], Any]) -> Any:
        """A JSON-like result about this system, made once for these inputs."""
        return self.steps.cached(step, inputs, make, lambda value: value)
