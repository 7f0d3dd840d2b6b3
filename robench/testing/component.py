"""What every component keeps."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import pytest

from robench.base.errors import ConfigError
from robench.base.hashing import canonical, plain_options
from robench.plugin.components import Component
from robench.plugin.options import options, summary
from robench.plugin.typed import check_options


class ComponentContract:
    """What every component keeps: plain, documented, checked options."""

    component: ClassVar[Any]
    """The component that is tested."""
    invalid: ClassVar[tuple[dict[str, Any], ...]] = ()
    """Options that it must refuse with ConfigError."""

    def test_is_a_frozen_dataclass(self) -> None:
        """Its options cannot change behind a cache key."""
        assert isinstance(self.component, Component)
        for option in dataclasses.fields(self.component):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(self.component, option.name, None)

    def test_options_are_plain_and_make_an_equal_component(self) -> None:
        """They are JSON, so that records and cache keys need no pickle."""
        check_options(self.component)
        canonical(plain_options(self.component))
        assert dataclasses.replace(self.component) == self.component

    def test_is_documented(self) -> None:
        """The class has a sentence, and each option a help text below its field."""
        line = summary(self.component)
        assert line.endswith((".", ":")), f"expected a sentence as docstring, got {line!r}"
        for option in options(self.component):
            assert option.help, f"expected a string below the field {option.name!r}, got none"

    def test_repr_names_every_option(self) -> None:
        """A component prints as what would make it again."""
        text = repr(self.component)
        assert type(self.component).__name__ in text
        for option in dataclasses.fields(self.component):
            assert not option.repr or f"{option.name}=" in text, f"expected {option.name} in {text}"

    def test_refuses_invalid_options(self) -> None:
        """Each of `invalid` ends in a ConfigError that says what was expected."""
        for given in self.invalid:
            with pytest.raises(ConfigError, match="expected"):
                dataclasses.replace(self.component, **given)
