"""What a metric may read of a run; nothing is computed before it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from robench.core.data import Data, Split
    from robench.core.outcomes import Outcomes
    from robench.core.system import System
    from robench.plugin.scenario import AdversarialExamples, Scenario
    from robench.smoothing import VoteCertifier


class Evidence(Protocol):
    """A run's data, models and outcomes, for metrics."""

    @property
    def data(self) -> Data:
        """The whole data set."""
        ...

    @property
    def numbers(self) -> NDArray[np.int64]:
        """The judged images' numbers in the test set, increasing: shape (N,)."""
        ...

    @property
    def test(self) -> Split:
        """The judged test images, in the order of `numbers`."""
        ...

    @property
    def trained(self) -> nn.Module:
        """The trained float network, before maps and compression."""
        ...

    @property
    def mapped(self) -> nn.Module:
        """The network after the defenses' transforms; the trained one when there are none."""
        ...

    @property
    def finished(self) -> System:
        """The compressor's system, before any defense wraps it."""
        ...

    @property
    def system(self) -> System:
        """The attacked and judged system."""
        ...

    @property
    def device(self) -> torch.device:
        """What everything is computed on."""
        ...

    @property
    def certifier(self) -> tuple[str, VoteCertifier]:
        """The run's certifier and its choice's name."""
        ...

    @property
    def certify_seed(self) -> int:
        """The seed of certification's noise; image i's stream is its number in the test set."""
        ...

    @property
    def outcomes(self) -> Outcomes:
        """The judged images' outcomes, row by row; `outcomes.to_pandas()` is their table."""
        ...

    @property
    def examples(self) -> tuple[tuple[Scenario, AdversarialExamples], ...]:
        """Each valid scenario with its adversarial examples."""
        ...

    @property
    def tables(self) -> dict[str, Mapping[str, Any] | pd.DataFrame]:
        """Tables that metrics add, each a mapping of columns or a pandas frame.

        NAME becomes NAME.parquet beside the record.
        """
        ...

    def untrained(self) -> nn.Module:
        """A new network of the run's architecture, its weights random, uncompressed."""
        ...

    @property
    def budgets(self) -> Mapping[str, tuple[float, ...]]:
        """Eps at which a minimum-norm attack's accuracy is given, by attack."""
        ...

    def adversarial(self, count: int | None = None) -> Tensor | None:
        """Those of the first white-box row inside a ball, or its first `count`; None without one.

        float32 in [0,1], shape (N, C, H, W).
        """
        ...
