"""What the class of a component declares beside its options, checked: a typo is no setting."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, get_args

from robench.base.errors import PluginError
from robench.core.record import AUDITED
from robench.core.threat import NORMS
from robench.plugin.scenario import Search

READS = ("outcomes", "deployed", "models")
LEVELS = tuple(level for level in AUDITED if level != "off")


def check_declared(cls: type, kind: str) -> None:
    """Raise PluginError naming the first attribute of a component's class that no run can use."""
    for name, (fits, words) in {**EVERY, **RULES.get(kind, {})}.items():
        value = getattr(cls, name, None)
        if not fits(value):
            raise PluginError(f"expected {name} to be {words}, got {value!r:.80}")


def _truth(value: Any) -> bool:
    return isinstance(value, bool)


def _count(value: Any) -> bool:
    return type(value) is int and value >= 1


def _one_of(names: tuple[str, ...]) -> tuple[Callable[[Any], bool], str]:
    return lambda value: value in names, f"one of {', '.join(names)}"


def _some_of(names: tuple[str, ...], least: int) -> tuple[Callable[[Any], bool], str]:
    def fits(value: Any) -> bool:
        return isinstance(value, tuple) and len(value) >= least and set(value) <= set(names)

    return fits, f"a tuple of {', '.join(names)}"


def _suffixes(value: Any) -> bool:
    texts = isinstance(value, tuple) and all(isinstance(one, str) for one in value)
    return texts and all(one.startswith(".") and one == one.lower() for one in value)


def _packages(value: Any) -> bool:
    texts = isinstance(value, tuple) and all(isinstance(one, str) for one in value)
    return texts and all(one.isidentifier() for one in value)


def _names(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(one, str) for one in value)


def _sources(value: Any) -> bool:
    """An address becomes a link on a page, so that it may lead to a site and nowhere else."""
    return isinstance(value, Mapping) and all(
        name in ("paper", "code") and isinstance(at, str) and re.fullmatch(r"https://[!-~]+", at)
        for name, at in value.items()
    )


Rule = tuple[Callable[[Any], bool], str]
EVERY: dict[str, Rule] = {
    "version": (lambda value: isinstance(value, str), "text"),
    "sources": (_sources, "https addresses by paper and code"),
    "packages": (_packages, 'a tuple of packages, such as ("onnxruntime",)'),
    "requires": (lambda value: isinstance(value, str), "text"),
}
RULES: dict[str, dict[str, Rule]] = {
    "attack": {
        "search": _one_of(get_args(Search)),
        "norms": _some_of(NORMS, 1),
        "batch": (_count, "a whole number of at least 1"),
        "queries_only": (_truth, "True or False"),
    },
    "model": {"randomised": (_truth, "True or False")},
    "metric": {
        "reads": _one_of(READS),
        "timed": (_truth, "True or False"),
        "votes": (_truth, "True or False"),
        "measures": (_names, 'a tuple of metrics, such as ("latency",)'),
    },
    "check": {"levels": _some_of(LEVELS, 0)},
    "runtime": {
        "suffixes": (_suffixes, 'a tuple of endings, such as (".onnx",)'),
        "opens": (_suffixes, 'a tuple of endings, such as (".onnx",)'),
    },
}
"""By kind, what each attribute has to be, as a test and in words."""
