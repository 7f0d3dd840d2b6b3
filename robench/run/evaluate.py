"""`robench.evaluate`: the same run from Python, with your own model or data."""

from __future__ import annotations

import inspect
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from dataclasses import field as dataclass_field
from functools import wraps
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from robench.base.errors import ConfigError, PluginError
from robench.base.hashing import digest
from robench.base.text import one_line, suggestion
from robench.core.threat import Threat, ThreatConfig
from robench.plugin.components import KINDS, Component, Dataset, Model
from robench.plugin.content import network_digest
from robench.plugin.declared import check_declared
from robench.plugin.registry import registry
from robench.plugin.source import Unreadable
from robench.records import protocols
from robench.run.config import (
    ACCESS,
    AuditConfig,
    Places,
    RunConfig,
    Transfer,
    WhiteBox,
    fixed_parts,
    joined,
    only,
)
from robench.run.plan import check_packages, check_plan
from robench.training.recipe import TrainConfig

if TYPE_CHECKING:
    from torch import nn

    from robench.core.data import Data
    from robench.records.shown import ShownRecord

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")


class _Usual:
    """Stands for data that were not said, as None may be a loader that returned nothing."""

    def __repr__(self) -> str:
        return "the usual ones"


USUAL_DATA = _Usual()
AS_GIVEN = "as given, not trained in this run"
Choices = str | Component | Iterable[str | Component] | Mapping[str, Component | Mapping[str, Any]]


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

    hash: str
    """Hash of its weights, code and plain attributes."""
    pretrained: bool = True  # type: ignore[misc]  # a field in place of the class's
    """Whether it stays as given: then no part of the run may train it."""
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
            words = one_line(error)[:200]
            raise PluginError(f"expected a network that can be copied, got: {words}") from error
        return result

    def notes(self, shape: tuple[int, int, int], classes: int) -> dict[str, str]:
        """Whether its weights are those that were given."""
        del shape, classes
        return {"network": AS_GIVEN if self.pretrained else "as given, then trained in this run"}


@dataclass(frozen=True, kw_only=True)
class GivenRandomised(GivenModel):
    """A trained network handed over in Python whose answers are random."""

    randomised: bool = True  # type: ignore[misc]  # a field in place of the class's


def _named_options(function: Callable[P, R]) -> Callable[P, R]:
    """The function, which refuses a name that it has not in one line, with the nearest one."""
    names = list(inspect.signature(function).parameters)

    @wraps(function)
    def named(*args: P.args, **given: P.kwargs) -> R:
        for name in given:
            if name not in names:
                raise ConfigError(
                    f"expected an option of {function.__name__}, got {one_line(name)[:80]!r}"
                    + (suggestion(name, names) or f"; it has {', '.join(names)}")
                )
        return function(*args, **given)

    return named


@_named_options
def evaluate(
    model: nn.Module | str | Path | Model,
    data: Data | str | Dataset | Any = USUAL_DATA,
    *,
    attack: Choices | None = None,
    defense: Choices = "none",
    compressor: Choices = "none",
    metric: Choices | None = None,
    certifier: Choices = "sequential",
    access: Iterable[str] | None = None,
    threat: Threat | ThreatConfig | None = None,
    eps: Any = None,
    train: TrainConfig | None = None,
    fit: bool = False,
    audit: str | None = None,
    images: int | None = None,
    protocol: str | None = None,
    seed: int = 0,
    places: Places | None = None,
    randomised: bool = False,
) -> ShownRecord:
    """Evaluate a model: your own network (float images in [0,1] -> logits), a file that ships
    ("net.onnx"), or a choice's name.

    Data are a data set's name, a `robench.Data`, or your own: `(images, labels)` as arrays, tensors
    or lists, a Dataset or DataLoader of torch, a split of Hugging Face datasets, or
    {"train": ..., "test": ...} of these; images are uint8, or float in [0,1], channels first or
    last. A loader that shuffles is read in the order of its data set. What trains or calibrates
    needs a train split.

    Components are given by name, as instances, several of them, or as names with their options:
    {"pgd": {"steps": 50}}. Not given, the data are "digits", the attacks "fgsm" and "strongest",
    the metric "accuracy", the access "white_box" and the audit "quick"; with `protocol`, all that
    it fixes is what it says. None means not given, but for the data, where it is refused. The
    threat is `robench.Threat("linf", 8/255)`, or `eps="8/255"` in the data's usual norm; for your
    own data the usual one is Linf 8/255.

    Your own network is trained no further, unless `fit` is true: then training goes on from its
    weights, with the defense and compressor that were chosen. Without `places`, an own network's
    results and cache go to a temporary folder, and nothing is kept. `randomised` says that your own
    network answers the same images differently: then the audit and the attacks that ask it believe
    many answers, and `strongest` averages its gradients over draws; a row still counts one answer
    an example. Returns the record, which prints and draws itself; raises UserError.
    """
    from robench.records.shown import shown
    from robench.run.pipeline import run

    parts = _usual() if protocol is None else fixed_parts(protocols.get(str(protocol)))
    if protocol is not None and not isinstance(data, (str, _Usual)):
        raise ConfigError(
            f"expected no data of your own under protocol {protocol}, got {_named(data)}: it is "
            f"judged on {', '.join(parts['dataset'])}; leave data out, or leave protocol out"
        )
    given: dict[str, Any] = {
        "dataset": None if data is USUAL_DATA else _given_data(data, model),
        "attack": None if attack is None else _chosen("attack", attack),
        "metric": None if metric is None else _chosen("metric", metric),
        "threat": _given_threat(threat, eps),
        "access": None if access is None else _access(access),
        "audit": None if audit is None else joined(AuditConfig(level=audit)),
        "images": images,
    }
    parts |= {name: part for name, part in given.items() if part is not None}
    config = RunConfig(
        model=_given_model(model, randomised, fit),
        compressor=_chosen("compressor", compressor),
        defense=_chosen("defense", defense),
        certifier=_chosen("certifier", certifier),
        train=_given("train", train, TrainConfig),
        seed=seed,
        **parts,
    )
    _require_untrained(config)
    _require_no_training_images(config)
    check_plan(config)
    check_packages(config)
    if places is not None:
        _given("places", places, Places)
        return shown(*run(config, places))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        usual = Places.from_environment()
        here = Places(results=root / "results", cache=root / "cache", data_root=usual.data_root)
        return shown(*run(config, here), kept=False)


def _require_untrained(config: RunConfig) -> None:
    """Refuse to train a network that was handed over trained; raises ConfigError."""
    model = only("model", config.model)
    if not (isinstance(model, GivenModel) and model.pretrained):
        return
    for name, defense in config.defense.items():
        if defense.changes_training:
            without = dict(defense.without_training)
            still = f", or defense={ {name: without} } smooths it as it is" if without else ""
            raise ConfigError(
                f"expected fit=True with defense={name}, got a network of your own: this defense "
                f"trains, and yours stays as it is unless you ask{still}"
            )
    for name, compressor in config.compressor.items():
        if compressor.changes_training:
            raise ConfigError(
                f"expected fit=True with compressor={name}, got a network of your own: this "
                "compressor trains, and yours stays as it is unless you ask; or use a "
                "post-training one such as ptq_int8"
            )


def _require_no_training_images(config: RunConfig) -> None:
    """Refuse, before the first attack, what trains where no training images are: DataError."""
    given = only("dataset", config.dataset)
    if not isinstance(given, GivenData) or given.data.has_training:
        return
    trains = not only("model", config.model).pretrained
    if trains or any(isinstance(access, Transfer) for access in config.access.values()):
        _ = given.data.train.images


def _usual() -> dict[str, Any]:
    """The parts of a run that evaluates what it is given, when nothing else is."""
    return {
        "dataset": _chosen("dataset", "digits"),
        "attack": _chosen("attack", ("fgsm", "strongest")),
        "metric": _chosen("metric", "accuracy"),
        "audit": joined(AuditConfig()),
    }


def _access(names: Iterable[str]) -> dict[str, WhiteBox | Transfer]:
    several = isinstance(names, Iterable) and not isinstance(names, str)
    names = list(names) if several else [names]  # type: ignore[list-item]  # refused below
    for name in names:
        if name not in tuple(ACCESS):
            raise ConfigError(f"expected access among {', '.join(ACCESS)}, got {_named(name)}")
    return {name: ACCESS[name]() for name in names}


def _given_threat(threat: Any, eps: Any) -> ThreatConfig | None:
    """The threat as a configuration has it, None where neither is given."""
    if threat is not None and eps is not None:
        raise ConfigError("expected threat or eps, got both; say eps in the threat")
    if isinstance(threat, Threat):
        return ThreatConfig(norm=threat.norm, eps=threat.eps, grid=threat.grid)
    if threat is None:
        return None if eps is None else ThreatConfig(eps=eps)
    if not isinstance(threat, ThreatConfig):
        raise ConfigError(
            f"expected threat to be a robench.Threat, got {_named(threat)}; make one: "
            'robench.Threat("linf", 8/255), or give eps="8/255" alone'
        )
    return threat


def _given(name: str, given: S | None, cls: type[S]) -> S:
    """A setting as it was given, or the usual one."""
    if given is None:
        return cls()
    if not isinstance(given, cls):
        raise ConfigError(
            f"expected {name} to be a robench.{cls.__name__}, got {_named(given)}; make one: "
            f"robench.{cls.__name__}(...)"
        )
    return given


def _named(value: Any) -> str:
    """A value in a message: itself where that is short, else what it is."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    short = value is None or isinstance(value, (str, bool, int, float))
    return one_line(repr(value))[:80] if short else f"a value of the class {type(value).__name__}"


def _given_data(data: Any, model: Any) -> dict[str, Any]:
    from torch import nn

    from robench.core.data import Data, NoImages, Split
    from robench.run.own_data import is_own_data, own_data

    if data is None:
        raise ConfigError('expected data, got None; leave data out for "digits", or give your own')
    if not isinstance(data, Data) and is_own_data(data):
        data = own_data(data, model if isinstance(model, nn.Module) else None)
    if isinstance(data, Data):
        # Hashed anew, as its pixels may have changed since; copied, as splits may share memory.
        own = {name: Split(s.images.clone(), s.labels.clone()) for name, s in data.splits.items()}
        given = Data(own.get("train", NoImages()), own["test"], data.classes, data.threat)
        about = [given.hash, list(given.classes), asdict(given.threat)]
        return {"given": GivenData(hash=digest(about), data=given)}
    return _chosen("dataset", data)


def _given_model(model: Any, randomised: bool, fit: bool) -> dict[str, Any]:
    from torch import nn

    from robench.core.weights import require_saved

    if isinstance(model, (list, tuple)):
        raise ConfigError(
            f"expected one model, got a {type(model).__name__} of {len(model)}; evaluate each"
        )
    if isinstance(model, Mapping) and any(hasattr(part, "shape") for part in model.values()):
        raise ConfigError(
            "expected a network, got its weights alone; load them into one: "
            "network.load_state_dict(weights)"
        )
    if isinstance(model, nn.Module):
        require_saved(model)
        made = GivenRandomised if randomised else GivenModel
        return {"given": made(hash=_network_hash(model), pretrained=not fit, module=model)}
    for name, asked in (("randomised", randomised), ("fit", fit)):
        if asked:
            raise ConfigError(f"expected an own network with {name}=True, got a registered choice")
    if isinstance(model, Path) or (isinstance(model, str) and Path(model).suffix):
        return {"file": registry().get("model", "file").make(path=str(model))}
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
        return {_name(kind, name): _optioned(kind, name, one) for name, one in choice.items()}
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


def _resolve(kind: str, item: Any) -> tuple[str, Component]:
    if isinstance(item, str):
        return item, registry().get(kind, item).make()
    component = _component(kind, item)
    for name, choice in registry().choices[kind].items():
        if choice.component is type(component):
            return name, component
    return type(component).__name__.lower(), component


def _name(kind: str, name: Any) -> str:
    if isinstance(name, str):
        return name
    raise ConfigError(f"expected a mapping of names to {kind}, got the name {_named(name)}")


def _optioned(kind: str, name: str, item: Any) -> Component:
    """A component of a mapping: itself, or the named choice with its options."""
    if isinstance(item, Mapping):
        return registry().get(kind, name).typed({str(key): one for key, one in item.items()})
    return _component(kind, item)


def _component(kind: str, item: Any) -> Component:
    if isinstance(item, KINDS[kind]):
        check_declared(type(item), kind)
        return item
    known = f"a choice's name or a robench.{KINDS[kind].__name__}"
    also = {"dataset": "a robench.Data, ", "model": "an nn.Module, a file, "}.get(kind, "")
    advice = f"make one: {item.__name__}()" if isinstance(item, type) else ""
    if kind == "model" and isinstance(item, FunctionType):
        advice = "call it if it makes a network, or let the forward of an nn.Module call it"
    raise ConfigError(
        f"expected {kind} to be {also}{known}, got {_named(item)}; "
        + (advice or f"`robench plugins {kind}` lists the choices")
    )
