from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robench.base import hashing as digest

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
    assert digest.digest(value) == digest.digest(turned)
    assert digest.digest(value) != digest.digest({**value, "one more": 1})


def test_nan_and_objects_have_no_digest() -> None:
    with pytest.raises(TypeError, match="finite"):
        digest.digest(float("nan"))
    with pytest.raises(TypeError, match="plain"):
        digest.digest(object())


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "pkg_for_digest"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "a.py").write_text(
        "from pkg_for_digest.b import two\n\ndef one():\n    return two()\n"
    )
    (folder / "b.py").write_text("def two():\n    return 2\n")
    (folder / "c.py").write_text("def three():\n    return 3\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    for name in [n for n in sys.modules if n.startswith("pkg_for_digest")]:
        del sys.modules[name]


def code_of_a() -> str:
    forget()
    return digest.code("pkg_for_digest.a")


def forget() -> None:
    """As a new process does."""
    digest.code.cache_clear()
    digest._read.cache_clear()


def test_code_digest_follows_imports_and_ignores_text(package: Path) -> None:
    before = code_of_a()
    (package / "c.py").write_text("def three():\n    return 4\n")
    assert code_of_a() == before, "a module that is not imported does not count"
    (package / "b.py").write_text('def two():\n    """Two."""\n    # a remark\n    return 2\n')
    assert code_of_a() == before, "docstrings and comments do not count"
    (package / "b.py").write_text("def two():\n    return 3\n")
    assert code_of_a() != before, "what is imported counts"


def test_code_digest_leaves_out_type_checking_imports(package: Path) -> None:
    text = (package / "a.py").read_text()
    guarded = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pkg_for_digest.c\n"
    (package / "a.py").write_text(guarded + text)
    before = code_of_a()
    (package / "c.py").write_text("def three():\n    return 5\n")
    assert code_of_a() == before


def test_relative_imports_are_followed(package: Path) -> None:
    (package / "a.py").write_text("from . import b\nfrom .b import two\n")
    before = code_of_a()
    (package / "b.py").write_text("def two():\n    return 9\n")
    assert code_of_a() != before


def test_looking_for_code_imports_nothing(package: Path) -> None:
    (package / "heavy.py").write_text("raise AssertionError('imported')\nthing = 1\n")
    (package / "a.py").write_text("def one():\n    from pkg_for_digest.heavy import thing\n")
    before = code_of_a()
    (package / "heavy.py").write_text("raise AssertionError('imported')\nthing = 2\n")
    assert code_of_a() != before
    assert "pkg_for_digest.heavy" not in sys.modules


def test_methods_that_act_after_training_do_not_count(package: Path) -> None:
    def text(fit: int, module: str) -> str:
        deploy = f"    def deploy(self):\n        from pkg_for_digest.{module} import two\n"
        return f"class D:\n    def fit(self):\n        return {fit}\n{deploy}"

    def both(fit: int, module: str) -> tuple[str, str]:
        (package / "a.py").write_text(text(fit, module))
        forget()
        name = "pkg_for_digest.a"
        return digest.code(name, digest.AFTER_TRAINING), digest.code(name)

    training, whole = both(1, "b")
    assert both(1, "c")[0] == training
    assert both(1, "c")[1] != whole
    assert both(2, "b")[0] != training
