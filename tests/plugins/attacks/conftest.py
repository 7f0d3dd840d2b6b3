from __future__ import annotations

import pytest

from tests.plugins.attacks.digits import Digits, train_digits


@pytest.fixture(scope="session")
def digits() -> Digits:
    return train_digits()
