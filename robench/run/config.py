"""A run's configuration: chosen components and settings, checked, with one plain form."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Optional, TypeVar

from robench.base.errors import ConfigError
from robench.base.files import require_short, require_writable
from robench.base.hashing import plain_options
from robench.base.paths import cache_folder, expand_home
from robench.base.text import one_line
from robench.core.record import AUDITED, RUN_KINDS, run_id
from robench.core.threat import ThreatConfig
from robench.plugin.components import (
    Attack,
    Certifier,
    Compressor,
    Dataset,
    Defense,
    Metric,
    Model,
)
from robench.plugin.registry import registry
from robench.plugin.typed import read_options
from robench.records.protocols import CERTIFIED, Protocol
from robench.training.recipe import Recipe, TrainConfig

C = TypeVar("C")
DEVICE = re.compile(r"auto|(cpu|cuda|mps|xpu)(:[0-9]{1,2})?")
MAX_THREADS = 4_096
SEEDS = 2**53
"""Seeds lie below: every draw hashes the seed, so that generators take any, but spreadsheets and
browsers, which read records, know larger numbers only roughly."""


@dataclass(frozen=True, kw_only=True)
class WhiteBox:
    """Attacks search on the twin of the system they are judged on."""


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """Attacks search on another model; their examples are judged on this one."""

    source: dict[str, Any] = field(default_factory=dict)
    """What differs from this run in the source: model, defense, compressor, seed. The default is
    the same model, plainly trained with another seed."""

    def __post_init__(self) -> None:
        known = {"model", "defense", "compressor", "seed"}
        if unknown := set(self.source) - known:
            raise ConfigError(
                f"expected access.transfer.source to have {sorted(known)}, got {sorted(unknown)}"
            )


@dataclass(frozen=True, kw_only=True)
class AuditConfig:
    """How much the audit tries."""

    level: str = "quick"
    """off, quick or full."""
    images: Optional[int] = None
    """Images it works on, a seeded, stratified subset of the run's; none given: 100 for quick, 500
    for full."""
    checks: Any = ()
    """Names of checks that plugins register, run after the audit's own; those that join the level
    by themselves are among them in the record."""

    def __post_init__(self) -> None:
        if self.level not in tuple(AUDITED):
            raise ConfigError(f"expected audit to be off, quick or full, got {self.level!r}")
        if self.images is not None and self.images < 10:
            raise ConfigError(f"expected audit.images >= 10, got {self.images}")
        object.__setattr__(self, "checks", names_of(self.checks))

    @property
    def count(self) -> int:
        """Images it works on at most."""
        return self.images or AUDITED[self.level]


def joined(audit: AuditConfig) -> AuditConfig:
    """The audit with the registered checks that join its level by themselves, all named."""
    joining = [n for n in registry().joining_checks(audit.level) if n not in audit.checks]
    return replace(audit, checks=[*audit.checks, *joining]) if joining else audit


Access = WhiteBox | Transfer
ACCESS: dict[str, type[WhiteBox] | type[Transfer]] = {"white_box": WhiteBox, "transfer": Transfer}


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where a run finds and leaves its files, and what it computes on; never part of its id.

    Raises ConfigError for another device than auto, cpu, cuda, mps or xpu (cuda:1 is the second
    of several), and for other threads than 1 to MAX_THREADS; UserError for a path that is too
    long, or whose `~` names no home. Whether the device is there, and the folders can be written,
    is asked when something is to be run.
    """

    results: Path = Path("results")
    cache: Path = Path("cache")
    data_root: Path = Path("data")
    device: str = "auto"
    threads: Optional[int] = None

    def __post_init__(self) -> None:
        for name, value in read_options(type(self), vars(self), "").items():
            object.__setattr__(self, name, value)
        if not DEVICE.fullmatch(self.device):
            raise ConfigError(
                "expected device to be auto, cpu, cuda, mps or xpu, or one of several such as "
                f"cuda:1, got {self.device!r:.80}"
            )
        if self.threads is not None and not 1 <= self.threads <= MAX_THREADS:
            raise ConfigError(f"expected threads from 1 to {MAX_THREADS}, got {self.threads}")
        for name in ("results", "cache", "data_root"):
            object.__setattr__(self, name, expand_home(getattr(self, name)))
            require_short(getattr(self, name), f"{name}=")

    @classmethod
    def from_environment(cls) -> Places:
        """Folders from ROBENCH_RESULTS, ROBENCH_CACHE and ROBENCH_DATA, or the defaults."""
        return cls(
            results=Path(os.environ.get("ROBENCH_RESULTS", "results")),
            cache=cache_folder(),
            data_root=Path(os.environ.get("ROBENCH_DATA", "data")),
        )

    def require_writable(self) -> None:
        """Raise UserError unless results and cache can be written: asked before the work.

        A cache that is there and cannot be written may hold all that is needed.
        """
        require_writable(self.results, "results=")
        if not self.cache.is_dir():
            require_writable(self.cache, "cache=")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that decides a run's numbers, each kind a mapping from choice to component.

    Raises ConfigError when the parts do not go together.
    """

    dataset: Mapping[str, Dataset]
    model: Mapping[str, Model]
    compressor: Mapping[str, Compressor]
    defense: Mapping[str, Defense]
    attack: Mapping[str, Attack]
    metric: Mapping[str, Metric]
    train: TrainConfig = field(default_factory=TrainConfig)
    threat: ThreatConfig = field(default_factory=ThreatConfig)
    certifier: Mapping[str, Certifier] = field(default_factory=dict)
    access: Mapping[str, Access] = field(default_factory=lambda: {"white_box": WhiteBox()})
    audit: AuditConfig = field(default_factory=AuditConfig)
    seed: int = 0
    images: int | None = None
    protocol: Protocol | None = None
    """What it is judged under, None for an open run."""

    def __post_init__(self) -> None:
        for kind in ("dataset", "model", "compressor"):
            only(kind, getattr(self, kind))
        _check_defenses(self.defense, only("compressor", self.compressor))
        if only("model", self.model).arrives_finished:
            _check_finished(self)
        if not self.access:
            raise ConfigError("expected access to be white_box, transfer or both, got none")
        _check_whole("seed", self.seed, least=0, most=SEEDS - 1)
        if self.images is not None:
            _check_whole("images", self.images, least=1)

    def plain(self) -> dict[str, Any]:
        """The configuration as JSON-like data; its digest is the run's id."""
        kinds = (*RUN_KINDS, "access")
        chosen = {kind: _plain(getattr(self, kind)) for kind in kinds}
        settings = {name: asdict(getattr(self, name)) for name in ("train", "threat", "audit")}
        given = {**chosen, **settings, "seed": self.seed, "images": self.images}
        # Left out of an open run, whose id is older than protocols.
        given |= {"protocol": self.protocol.plain} if self.protocol else {}
        # Through JSON, so that what a record holds equals what it was made from.
        plain: dict[str, Any] = json.loads(json.dumps(given, allow_nan=False))
        return plain

    @property
    def id(self) -> str:
        """The run's id."""
        return run_id(self.plain())

    @property
    def images_seed(self) -> int:
        """What draws the judged images, and those that the audit works on."""
        return self.protocol.seed if self.protocol else self.seed

    @property
    def recipe(self) -> Recipe:
        """The complete training recipe: data set, then model, then the run's own changes."""
        dataset, model = only("dataset", self.dataset), only("model", self.model)
        return self.train.recipe(dataset.recipe, model.recipe)


def component_versions(config: RunConfig) -> dict[str, str]:
    """kind.choice -> 'distribution version / component version' of all components of a run."""
    known = registry().choices
    result = {}
    for kind in RUN_KINDS:
        for name, component in getattr(config, kind).items():
            choice = known[kind].get(name)
            origin = f"{choice.distribution} {choice.version}" if choice else "given in Python 0"
            own = component.version
            if isinstance(component, Attack):
                own = component.version_in(component.norm or config.threat.norm)
            result[f"{kind}.{name}"] = f"{origin} / {own}"
    return result


def require_protocol(config: RunConfig) -> None:
    """Raise ConfigError where a run changes what its protocol fixes."""
    if config.protocol:
        config.protocol.require(config.plain(), component_versions(config))


def fixed_parts(protocol: Protocol) -> dict[str, Any]:
    """The parts of a run under a protocol that are not the run's own to choose."""
    parts: dict[str, Any] = {
        "protocol": protocol,
        "dataset": _made("dataset", protocol.dataset),
        "attack": _made("attack", protocol.attack),
        "metric": _made("metric", {"accuracy": {}}),
        "threat": ThreatConfig(**protocol.threat),
        "access": {name: ACCESS[name](**options) for name, options in protocol.access.items()},
        "audit": joined(AuditConfig(level=protocol.audit)),
        "images": protocol.images,
    }
    if protocol.certified is not None:
        parts["metric"] |= _made("metric", {CERTIFIED: protocol.certified})
    return parts


def _made(kind: str, chosen: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    known = registry()
    return {name: known.get(kind, name).make(**options) for name, options in chosen.items()}


def only(kind: str, chosen: Mapping[str, C]) -> C:
    """The single choice of a kind; raises ConfigError when there are several or none."""
    if len(chosen) != 1:
        several = f"; use -m {kind}={','.join(chosen)} for a run each" if chosen else ""
        raise ConfigError(f"expected one {kind}, got {', '.join(chosen) or 'none'}{several}")
    return next(iter(chosen.values()))


def _check_whole(name: str, value: Any, least: int, most: int | None = None) -> None:
    if type(value) is not int or value < least or (most is not None and value > most):
        which = f">= {least}" if most is None else f"from {least} to {most}"
        raise ConfigError(
            f"expected {name} to be a whole number {which}, got {one_line(repr(value)):.80}"
        )


def _check_defenses(defenses: Mapping[str, Defense], compressor: Compressor) -> None:
    if not defenses:
        raise ConfigError("expected a defense, got none; use defense=none for plain training")
    if "none" in defenses and len(defenses) > 1:
        raise ConfigError(f"expected defense=none alone, got it with others: {', '.join(defenses)}")
    training = [name for name, defense in defenses.items() if defense.changes_training]
    if len(training) > 1:
        raise ConfigError(
            f"expected one defense that trains, got {' and '.join(training)}; "
            + _not_training(defenses, training)
        )
    maps = [n for n, d in defenses.items() if type(d).transform is not Defense.transform]
    if maps and compressor.changes_training:
        raise ConfigError(
            f"expected no weight map with quantization-aware training, got {maps[0]}: it would "
            "change weights after their activation ranges were learned; use compressor=ptq_int8"
        )


def _not_training(defenses: Mapping[str, Defense], training: list[str]) -> str:
    """What to do where several defenses train."""
    for name in training:
        if without := defenses[name].without_training:
            options = " ".join(f"defense.{name}.{key}={value}" for key, value in without.items())
            return f"set {options}, with which {name} wraps what the other one trained"
    return f"leave one out, or compare them: -m defense={','.join(training)}"


def _check_finished(config: RunConfig) -> None:
    """Refuse what would change a network that arrives as it ships; raises ConfigError."""
    name, compressor = next(iter(config.model)), next(iter(config.compressor))
    if compressor != "none":
        raise ConfigError(
            f"expected compressor=none with model={name}, got {compressor}: the file is what ships"
        )
    for access in config.access.values():
        if isinstance(access, Transfer) and "model" not in access.source:
            raise ConfigError(
                f"expected access.transfer.source to name a model with model={name}, which cannot "
                "be trained with another seed; the examples of its float parent come by "
                "themselves where model.file.parent names it"
            )
    for defense, made in config.defense.items():
        if made.changes_training or type(made).transform is not Defense.transform:
            raise ConfigError(
                f"expected defenses that only wrap what is deployed with model={name}, got "
                f"{defense}, which changes training or weights: the file is what ships (smoothing "
                "does without training: defense=float_rs defense.float_rs.train_sigma=0)"
            )


def _plain(chosen: Mapping[str, Any]) -> dict[str, Any]:
    return {name: plain_options(component) for name, component in chosen.items()}


def names_of(value: Any) -> list[str]:
    """The names in an option that takes one or several; raises ConfigError for anything else."""
    names = [value] if isinstance(value, str) else value or []
    if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
        return list(names)
    raise ConfigError(f"expected a name or a list of names, got {value!r:.80}")
