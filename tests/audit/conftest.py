from __future__ import annotations

import pytest

from tests.audit.zoo import Zoo
from tests.audit.zoo.lessons import digits


@pytest.fixture(scope="session")
def zoo() -> Zoo:
    """The zoo on scikit-learn's digits, judged on 100 test images."""
    return Zoo(digits(test=100, eps=0.15))
