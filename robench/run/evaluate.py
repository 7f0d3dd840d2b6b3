"""`robench.evaluate`: the same run from Python, with your own model or data."""

from __future__ import annotations

import sys
import tempfile
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from dataclasses import field as dataclass_field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robench.base.errors import ConfigError, PluginError
from robench.base.hashing import digest
from robench.core.threat import ThreatConfig
from robench.plugin.components import Component, Dataset, Model
from robench.plugin.content import network_digest
from robench.plugin.declared import check_declared
from robench.plugin.registry import registry
from robench.plugin.source import Unreadable
from robench.run.config import AuditConfig, Places, RunConfig, Transfer, WhiteBox, joined
from robench.training.recipe import TrainConfig

if TYPE_CHECKING:
    from torch import nn

    from robench.core.data import Data
    from robench.core.record import Record

Choices = str | Component | Iterable[str | Component] | Mapping[str, Component]


@dataclass(frozen=True, kw_only=True)
class GivenData(Dataset):
    """A data set handed over in Python."""

    hash: str
    """Hash of its pixels, labels, classes and usual threat."""
    data: Any = dataclass_field(default=None, repr=False, compare=False, metadata={"plain": False})

    def load(self, root: Path) -> Data:
        """The data as given."""
        del root
        result: Data = self.data
        return result


@dataclass(frozen=True, kw_only=True)
class GivenModel(Model):
    """A trained network handed over in Python."""

    pretrained = True

    hash: str
    """Hash of its weights, code and plain attributes."""
    module: Any = dataclass_field(
        default=None, repr=False, compare=False, metadata={"plain": False}
    )

    def build(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        """A copy of the network as given."""
        from copy import deepcopy

        del shape, classes
        try:
            result: nn.Module = deepcopy(self.module)
        except (RuntimeError, TypeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise PluginError(f"expected a network that can be copied, got: {reason}") from error
        return result


def evaluate(
    model: nn.Module | str | Model,
    data: Data | str | Dataset = "digits",
    *,
    attack: Choices = ("fgsm", "pgd"),
    defense: Choices = "none",
    compressor: Choices = "none",
    metric: Choices = "accuracy",
    certifier: Choices = "sequential",
    access: Iterable[str] = ("white_box",),
    threat: ThreatConfig | None = None,
    train: TrainConfig | None = None,
    audit: str = "quick",
    images: int | None = None,
    seed: int = 0,
    places: Places | None = None,
) -> Record:
    """Evaluate a model: your own network (float images in [0,1] -> logits), or a choice's name.

    Components are given by name, as instances, or several of them. Without `places`, an own
    network's results and cache go to a temporary folder. Returns the record; raises UserError.
    """
    from robench.run.pipeline import run

    config = RunConfig(
        dataset=_given_data(data),
        model=_given_model(model),
        compressor=_chosen("compressor", compressor),
        defense=_chosen("defense", defense),
        attack=_chosen("attack", attack),
        metric=_chosen("metric", metric),
        certifier=_chosen("certifier", certifier),
        train=train or TrainConfig(),
        threat=threat or ThreatConfig(),
        access=_access(access),
        audit=joined(AuditConfig(level=audit)),
        images=images,
        seed=seed,
    )
    if places is not None:
        return run(config, places)[0]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        usual = Places.from_environment()
        here = Places(results=root / "results", cache=root / "cache", data_root=usual.data_root)
        return run(config, here)[0]


_ACCESS: dict[str, type[WhiteBox] | type[Transfer]] = {"white_box": WhiteBox, "transfer": Transfer}


def _access(names: Iterable[str]) -> dict[str, WhiteBox | Transfer]:
    names = [names] if isinstance(names, str) else list(names)
    for name in names:
        if name not in _ACCESS:
            raise ConfigError(f"expected access among {', '.join(_ACCESS)}, got {name!r}")
    return {name: _ACCESS[name]() for name in names}


def _given_data(data: Any) -> dict[str, Any]:
    from robench.core.data import Data, Split

    if isinstance(data, Data):
        # Hashed anew, as its pixels may have changed since; copied, as splits may share memory.
        train, test = (Split(s.images.clone(), s.labels.clone()) for s in (data.train, data.test))
        given = Data(train, test, data.classes, data.threat)
        about = [given.hash, list(given.classes), asdict(given.threat)]
        return {"given": GivenData(hash=digest(about), data=given)}
    return _chosen("dataset", data)


def _given_model(model: Any) -> dict[str, Any]:
    from torch import nn

    if isinstance(model, nn.Module):
        return {"given": GivenModel(hash=_network_hash(model), module=model)}
    return _chosen("model", model)


def _network_hash(model: nn.Module) -> str:
    """What names a network handed over: its weights, its classes' code, its plain attributes.

    Where that cannot be told, a name that no other call gets, so that nothing of it is kept.
    """
    try:
        return network_digest(model)
    except Unreadable as reason:
        text = f"robench: {type(model).__name__} cannot be named by its content ({reason})"
        print(f"{text}: nothing of it is kept for another call", file=sys.stderr)  # noqa: T201
        return uuid.uuid4().hex


def _chosen(kind: str, choice: Any) -> dict[str, Any]:
    if isinstance(choice, Mapping):
        for item in choice.values():
            check_declared(type(item), kind)
        return dict(choice)
    single = isinstance(choice, (str, Component, type))
    several = [choice] if single or not isinstance(choice, Iterable) else list(choice)
    result: dict[str, Any] = {}
    for item in several:
        name, component = _resolve(kind, item)
        if name in result:
            raise ConfigError(
                f"expected each {kind} once, got {name} twice; give a mapping of names"
            )
        result[name] = component
    return result


def _resolve(kind: str, item: str | Component) -> tuple[str, Component]:
    if not isinstance(item, (str, Component)):
        got = item.__name__ if isinstance(item, type) else type(item).__name__
        raise ConfigError(
            f"expected a {kind}: a choice's name or a component such as {got}(), got {got}"
        )
    if isinstance(item, str):
        return item, registry().get(kind, item).make()
    check_declared(type(item), kind)
    for name, choice in registry().choices[kind].items():
        if choice.component is type(item):
            return name, item
    return type(item).__name__.lower(), item
