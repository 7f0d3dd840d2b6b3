"""The contract of metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from robench.core.record import Value
from robench.plugin.components import Metric
from robench.records.support.values import OWN
from robench.run.evaluate import evaluate
from robench.testing.component import ComponentContract
from robench.testing.tiny import tiny_data, tiny_network

if TYPE_CHECKING:
    from robench.core.record import Record


class MetricContract(ComponentContract):
    """A metric: values with intervals around them, the same ones for the same run."""

    component: ClassVar[Metric]
    run: ClassVar[dict[str, Any]] = {"attack": "fgsm"}
    """What else the measured run has: arguments of `robench.evaluate`."""

    def _record(self) -> Record:
        given: dict[str, Any] = {"metric": self.component, "images": 30, "audit": "off", **self.run}
        return evaluate(tiny_network(), tiny_data(), **given)

    def test_values_lie_in_their_intervals(self) -> None:
        """And there is at least one, of a metric that the component says it measures."""
        record = self._record()
        assert record.values, "expected at least one value, got none"
        for value in record.values:
            ends = [v for v in (value.low, value.value, value.high) if v is not None]
            assert ends == sorted(ends), f"expected low <= value <= high, got {value}"
            known = self.component.measures or (value.metric,)
            assert value.metric in (*known, *OWN), f"expected a metric of `measures`, got {value}"

    def test_values_repeat(self) -> None:
        """Unless they are timings."""
        if self.component.timed:
            pytest.skip("timings differ")
        first, second = self._record().values, self._record().values
        assert _plain(first) == _plain(second)


def _plain(values: tuple[Value, ...]) -> list[dict[str, Any]]:
    return [value.model_dump() for value in values]
