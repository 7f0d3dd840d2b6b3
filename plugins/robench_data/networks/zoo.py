"""RobustBench's architectures, without the package's own start; its files, read without code."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module, metadata
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from robench import ConfigError, UserError, read_tensors
from robench_data.networks.loading import load_all

PACKAGE = "robustbench"
INSTALL = "pip install --no-deps robustbench timm==1.0.9 geotorch torchdiffeq"
MAX_BYTES, MAX_JSON = 2**32, 2**20
CONSTANTS = ("mu", "sigma", "mean", "std", "num_batches_tracked")
"""Buffers that the constructor sets, and that some published files leave out."""
FIGURES = {"clean_accuracy": ("clean_acc",), "autoattack_accuracy": ("autoattack_acc", "external")}
"""What is kept of a published description, and its names there: percent, as text."""


def architecture(name: str, dataset: str, threat: str) -> nn.Module:
    """A network of the zoo with random weights.

    Raises ConfigError without the package, and for a name that is not there or no single network.
    """
    known = _known(dataset, threat)
    if name not in known:
        raise ConfigError(
            f"expected a name that {PACKAGE} has for {dataset} and {threat}, got {name!r}; it has "
            f"{', '.join(sorted(known)[:3])} and {max(len(known) - 3, 0)} more"
        )
    file = known[name].get("gdrive_id")
    if isinstance(file, list):
        raise ConfigError(
            f"expected a single network, got {name}, an ensemble of {len(file)} files, which is "
            "not supported; choose another"
        )
    if file is None:
        raise ConfigError(
            f"expected a network with a file of its own, got {name}, whose weights timm or "
            "torchvision has; choose model=torchvision or another name"
        )
    try:
        network = known[name]["model"]()
    except Exception as error:  # whatever foreign code does; some want the network or another timm
        raise ConfigError(
            f"expected {PACKAGE} to make {name}, got {type(error).__name__}: "
            f"{str(error).splitlines()[0][:200] if str(error) else 'no message'}; choose another"
        ) from error
    if not isinstance(network, nn.Module):
        raise ConfigError(f"expected {PACKAGE} to make a network of {name}, got another value")
    return network


def _known(dataset: str, threat: str) -> Mapping[str, Any]:
    """The zoo's entries by name; raises ConfigError when the package does not import."""
    spec = find_spec(PACKAGE)
    if spec is None:
        raise ConfigError(f"expected the package {PACKAGE}, got none; {INSTALL}")
    # Its __init__ imports packages that its wheel does not bring: the architectures need none.
    loaded = PACKAGE in sys.modules
    if not loaded:
        sys.modules[PACKAGE] = module_from_spec(spec)
    try:
        models = import_module(f"{PACKAGE}.model_zoo.models")
    except ImportError as error:
        missing = f"the package {error.name}" if error.name else str(error)
        raise ConfigError(
            f"expected {PACKAGE} to import, got an error for want of {missing}; {INSTALL}"
        ) from error
    finally:
        if not loaded:
            del sys.modules[PACKAGE]
    for one, threats in models.model_dicts.items():
        for other, known in threats.items():
            if (one.value, other.value) == (dataset, threat):
                found: Mapping[str, Any] = known
                return found
    return {}


def versions() -> str:
    """The versions of the packages that the architectures come from."""
    found = []
    for name in (PACKAGE, "timm"):
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            found.append(f"{name} of no version")
    return ", ".join(found)


def load_published(network: nn.Module, path: Path) -> None:
    """Load a published file into its network, and name on stderr what it leaves out.

    Raises UserError for what is too large, a web page, content that needs code, or another
    network's weights.
    """
    _require_weights(path)
    state = read_tensors(path, parts=("state_dict", "last"))
    own = network.state_dict()
    state = min(_names(state), key=lambda named: len(set(named) ^ set(own)))
    unused = [name for name in state if name not in own and _is_unused(name)]
    buffers = {name for name, _ in network.named_buffers()}
    constant = [
        name
        for name in own
        if name not in state and name in buffers and name.rpartition(".")[2] in CONSTANTS
    ]
    told = [name for name in constant if not name.endswith("num_batches_tracked")]
    for what, names in (("the architecture's own are kept", told), ("not used", unused)):
        if names:
            line = f"robench: {path.name}: {what}: {', '.join(sorted(names)[:5])}"
            print(line, f"({len(names)} tensors)", file=sys.stderr)  # noqa: T201
    kept = {name: tensor for name, tensor in state.items() if name not in unused}
    load_all(network, kept | {name: own[name] for name in constant}, str(path))


def _require_weights(path: Path) -> None:
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise UserError(f"expected at most {MAX_BYTES} bytes in {path}, got {size}; is it a model?")
    with path.open("rb") as file:
        start = file.read(64).lstrip()
    if start.startswith(b"<"):
        raise UserError(
            f"expected weights in {path}, got a web page: the download was refused, as Google "
            "Drive does after many; download it again with a browser"
        )


def _names(state: Mapping[str, Tensor]) -> Iterable[dict[str, Tensor]]:
    """The tensors as the networks may name them: wrappers leave prefixes, others took them off."""
    plain = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    inner = {name.removeprefix("model."): tensor for name, tensor in plain.items()}
    yield inner
    yield plain
    yield {f"model.{name}": tensor for name, tensor in inner.items()}


def _is_unused(name: str) -> bool:
    """Whether a tensor is one that published files have beside the network's."""
    return name.startswith("model_preact_hl1.") or name.endswith(".scores")


def published(path: Path) -> dict[str, float]:
    """The accuracies in [0,1] of a published description, none where it is not there.

    Raises UserError for a damaged one.
    """
    if not path.is_file():
        return {}
    try:
        if path.stat().st_size > MAX_JSON:
            raise ValueError("got a large file")
        told = json.loads(path.read_bytes())
        if not isinstance(told, dict):
            raise TypeError("got no object")
        return {
            figure: _share(next(told[name] for name in names if told.get(name) not in (None, "")))
            for figure, names in FIGURES.items()
            if any(told.get(name) not in (None, "") for name in names)
        }
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UserError(
            f"expected a description of a RobustBench model in {path}, got {error}"[:300]
        ) from error


def _share(percent: Any) -> float:
    share = float(percent) / 100
    if not (math.isfinite(share) and 0 <= share <= 1):
        raise ValueError(f"an accuracy of {percent!r:.40} percent")
    return round(share, 6)
