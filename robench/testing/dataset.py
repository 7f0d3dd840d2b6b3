"""The contract of data sets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

import pytest

from robench.base.errors import DataError
from robench.plugin.components import Dataset
from robench.testing.component import ComponentContract


class DatasetContract(ComponentContract):
    """A data set: the same 8-bit images each time it is read."""

    component: ClassVar[Dataset]
    root: ClassVar[Path] = Path(os.environ.get("ROBENCH_DATA", "data"))
    """Where its files lie: ROBENCH_DATA, as for a run."""

    def test_loads_the_same_data_twice(self) -> None:
        """Content hash, classes and the usual threat; skipped where its files are missing."""
        try:
            first, second = self.component.load(self.root), self.component.load(self.root)
        except DataError as error:
            pytest.skip(f"its files are not here: {error}")
        assert first.hash == second.hash
        assert len(first.classes) > 1
        assert first.threat.eps(first.threat.norm) > 0
