from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robench.base import hashing

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(value=st.dictionaries(st.text(), PLAIN, max_size=5))
def test_the_order_of_keys_does_not_count(value: dict[str, object]) -> None:
    turned = dict(reversed(list(value.items())))
    assert hashing.digest(value) == hashing.digest(turned)
    assert hashing.digest(value) != hashing.digest({**value, "one more": 1})


def test_nan_and_objects_have_no_digest() -> None:
    with pytest.raises(TypeError, match="finite"):
        hashing.digest(float("nan"))
    with pytest.raises(TypeError, match="plain"):
        hashing.digest(object())
