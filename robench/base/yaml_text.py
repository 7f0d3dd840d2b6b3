"""YAML as Hydra reads it, without loading Hydra, which takes as long as a hundred presets."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import yaml

FLOAT = "tag:yaml.org,2002:float"
DATE = "tag:yaml.org,2002:timestamp"
NUMBER = re.compile(
    r"""(?: [-+]?[0-9]+(?:_[0-9]+)*\.[0-9_]*(?:[eE][-+]?[0-9]+)?
          | [-+]?[0-9]+(?:_[0-9]+)*(?:[eE][-+]?[0-9]+)
          | \.[0-9]+(?:_[0-9]+)*(?:[eE][-+][0-9]+)?
          | [-+]?[0-9]+(?:_[0-9]+)*(?::[0-5]?[0-9])+\.[0-9_]*
          | [-+]?\.(?:inf|Inf|INF)
          | \.(?:nan|NaN|NAN))$""",
    re.VERBOSE,
)
"""Numbers as `omegaconf._utils.get_yaml_loader` has them: 1e-3 is one; in YAML 1.1 it is a text."""


def read_yaml(text: str) -> Any:
    """Plain data; a date stays a text. Raises `yaml.YAMLError`, also where a key stands twice."""
    return yaml.load(text, Loader=_loader())


@cache
def _loader() -> Any:
    """A loader of the compiled library, where PyYAML was built with it: ten times as fast."""
    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    def construct_mapping(self: Any, node: Any, deep: bool = False) -> Any:
        keys = [key.value for key, _ in node.value if key.tag == "tag:yaml.org,2002:str"]
        if len(keys) > len(set(keys)):
            twice = next(key for key in keys if keys.count(key) > 1)
            raise yaml.constructor.ConstructorError(
                "while constructing a mapping", node.start_mark, f"found duplicate key {twice}"
            )
        return base.construct_mapping(self, node, deep)

    loader: Any = type("HydraLoader", (base,), {"construct_mapping": construct_mapping})
    loader.add_implicit_resolver(FLOAT, NUMBER, list("-+0123456789."))
    loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != DATE]
        for first, resolvers in loader.yaml_implicit_resolvers.items()
    }
    return loader
