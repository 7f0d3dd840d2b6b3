"""The nine kinds of component a plugin registers.

A component is a frozen, keyword-only dataclass. Its fields are its options: they give the
defaults, the command-line help (the string below each field), the validation (`__post_init__`,
raising ConfigError) and the cache key. Their types are bool, int, float, str, Path, Enum, Literal,
Optional, list, tuple, dict[str, ...], frozen dataclasses of these, and Any; others are refused at
registration. Modules of components import torch and other heavy packages inside functions, so that
`--help` stays fast.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Optional

from robench.base.errors import ConfigError
from robench.base.text import shortened
from robench.core.threat import NORMS, check_norm, parse_eps
from robench.plugin.scenario import Search

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from robench.core.data import Data
    from robench.core.record import Finding, Value
    from robench.core.session import Session
    from robench.core.source import Source
    from robench.core.system import System
    from robench.core.threat import Threat
    from robench.plugin.evidence import Evidence
    from robench.plugin.trial import Trial
    from robench.search.target import Target
    from robench.smoothing import Certificates, VoteSource
    from robench.training.loop import Trainer


@dataclass(frozen=True, kw_only=True)
class Component(ABC):  # noqa: B024 - abstract through its nine kinds
    """What every component has: options of plain types, and a version.

    The version decides whether cached results still hold. A field with the metadata plain=False is
    no option: it is handed over in Python.
    """

    version: ClassVar[str] = "1"
    """Raise it when the numbers that the component gives change; it enters every key that they
    depend on, the record, and the protocol of a row."""
    sources: ClassVar[Mapping[str, str]] = {}
    """Where the method comes from: the address, https, of its `paper` and of its `code`."""
    packages: ClassVar[tuple[str, ...]] = ()
    """The packages that it imports and robench does not need: without one a run is refused before
    it begins."""
    requires: ClassVar[str] = ""
    """What installs them, said when one is missing: "pip install onnxruntime"."""


@dataclass(frozen=True, kw_only=True)
class Dataset(Component):
    """A data set: reads 8-bit images and says what its attackers are usually allowed."""

    recipe: ClassVar[Mapping[str, Any]] = {}
    """Fields of `Recipe` that training on this data set usually has."""

    @abstractmethod
    def load(self, root: Path) -> Data:
        """Read the data set below the folder `root`; raises DataError naming what is missing."""

    def source(self, root: Path) -> Source:
        """The data set piece by piece, for one that need not fit in memory; default: as loaded.

        `load` is then `self.source(root).load()`.
        """
        from robench.core.source import Source

        return Source.of(self.load(root))

    def files(self, root: Path) -> Iterable[Path]:
        """The files that `load` reads: when one changes, the cached copy is read anew."""
        del root
        return ()

    def downloads(self, root: Path) -> bool:
        """Whether `load` would download, as its files are not there: a plan leaves that to the run.

        The default is False: what is missing is refused.
        """
        del root
        return False


@dataclass(frozen=True, kw_only=True)
class Model(Component):
    """A network architecture."""

    recipe: ClassVar[Mapping[str, Any]] = {}
    """Fields of `Recipe` that this architecture changes in the data set's usual one."""
    pretrained: ClassVar[bool] = False
    """Whether `build` returns a trained network, which `defense=none` then leaves as it is."""
    randomised: ClassVar[bool] = False
    """Whether the network answers the same images differently; a field of the same name overrides
    it."""

    @abstractmethod
    def build(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        """Make a network: float32 images in [0,1], shape (N, *shape) -> logits (N, classes).

        Normalisation is part of the network. Random initial weights come from torch's global
        generator, which the core has seeded.
        """

    def untrained(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        """As `build`, for weights that the caller loads: a model that reads a file leaves it be."""
        return self.build(shape, classes)

    def identity(self) -> str:
        """What besides the options decides the network: a digest of a file or of foreign code."""
        return ""

    def system(self, data: Data) -> System | None:
        """The finished system, of a model that arrives as one; default: None, `build` makes it.

        Nothing is trained or compressed then, and defenses may only wrap it. Raises UserError for
        what cannot be judged on these data.
        """
        del data
        return None

    def reopen(self, file: Path, data: Data) -> System:
        """The same system from the file that a record of it keeps, whatever the options name.

        A model that has `system` has this, too.
        """
        raise NotImplementedError

    @property
    def arrives_finished(self) -> bool:
        """Whether it hands over a finished system: it has a `system` of its own."""
        return type(self).system is not Model.system

    @property
    def of_parent(self) -> Model | None:
        """The float model that this one was made from, to transfer from; default: not known."""
        return None

    def notes(self, shape: tuple[int, int, int], classes: int) -> Mapping[str, Any]:
        """What a record should say of the network besides, JSON-like: figures published of it."""
        del shape, classes
        return {}


@dataclass(frozen=True, kw_only=True)
class Defense(Component):
    """A defense: acts on training, on the trained weights, or on inference."""

    brings: ClassVar[Mapping[str, Any]] = {}
    """Choices of other groups that it sets unless the command line does: {"compressor": ...}."""
    without_training: ClassVar[Mapping[str, Any]] = {}
    """Options with which it does not train, advised where another defense trains or none may."""

    @property
    def changes_training(self) -> bool:
        """Whether it trains: it has a `loss` or `fit` of its own; of these a run can have one.

        One that does not train with some options says False then, and is not asked to.
        """
        own = type(self)
        return own.loss is not Defense.loss or own.fit is not Defense.fit

    def as_trained(self) -> Defense:
        """This defense with the options that only act after training at their defaults.

        It names the trained weights, so that changing those options retrains nothing.
        """
        return self

    def adapt(self, compressor: Compressor) -> Compressor:
        """The compressor with options that this defense needs; default: unchanged."""
        return compressor

    def loss(
        self, model: nn.Module, images: Tensor, labels: Tensor, rng: torch.Generator
    ) -> Tensor:
        """The scalar that training minimises on float32 images in [0,1]; default cross-entropy."""
        from robench.training.loss import plain_loss

        return plain_loss(model, images, labels, rng)

    def fit(self, model: nn.Module, data: Data, trainer: Trainer) -> nn.Module:
        """Own the whole training; the default lets the core's loop minimise `loss`."""
        return trainer.fit(model, data.train, self.loss)

    def transform(self, model: nn.Module) -> nn.Module:
        """Change the trained weights before the compressor sees them; default: unchanged."""
        return model

    def deploy(self, system: System, context: DeployContext) -> System:
        """Wrap the finished system and its twin alike, at inference; default: unchanged."""
        del context
        return system

    def adaptive(self, system: System, threat: Threat) -> Attack | None:
        """The attack that knows this defense, for the finished system; default: none.

        A full audit runs it (Tramer et al., 2020, On Adaptive Attacks to Adversarial Example
        Defenses): it may work inside the ball of `threat` in any way, on the system's own twin.
        """
        del system, threat
        return None


@dataclass(frozen=True)
class DeployContext:
    """What a defense may read when it wraps a system."""

    data: Data
    seed: int


@dataclass(frozen=True, kw_only=True)
class Compressor(Component):
    """A compressor: makes the deployed model and its differentiable twin."""

    bits: ClassVar[int] = 32
    """Bits of a weight as it ships; a field of the same name overrides it."""

    @property
    def changes_training(self) -> bool:
        """Whether it trains (quantization-aware): it has a `prepare` of its own.

        Weight maps are refused then. One that says False for some options is not asked to prepare.
        """
        return type(self).prepare is not Compressor.prepare

    def prepare(self, model: nn.Module, shape: tuple[int, int, int]) -> nn.Module:
        """Make a model of images (C, H, W) ready for training; default: unchanged."""
        del shape
        return model

    @abstractmethod
    def finish(self, model: nn.Module, data: Data) -> System:
        """Make the deployed model and its twin from the trained (and transformed) model."""

    def reopen(self, file: Path, data: Data) -> System:
        """The system of a file that `finish` made before, as a record of it keeps it.

        For a compressor whose deployed model is a foreign file (`robench.shipped.FileDeployed`).
        """
        raise NotImplementedError

    @property
    def makes_file(self) -> bool:
        """Whether a foreign file is what it deploys: it has a `reopen` of its own."""
        return type(self).reopen is not Compressor.reopen


@dataclass(frozen=True, kw_only=True)
class Attack(Component):
    """An attack: searches on the twin; the core projects, rounds and judges on the deployed."""

    search: ClassVar[Search] = "ball"
    """`ball`: stays within eps. `minimal`: seeks the nearest error, eps are the budgets at which
    accuracy is given. `noise`: random, not projected, never part of the worst case."""
    norms: ClassVar[tuple[str, ...]] = NORMS
    """The norms it can work in; the first one stands in when the threat's is not among them
    and the attack does not name its own."""
    batch: ClassVar[int] = 250
    """Images given to `run` at once."""
    queries_only: ClassVar[bool] = False
    """Whether it reads answers alone, no gradients, whatever access it is run with."""

    norm: Optional[str] = None
    """linf or l2; none given: the threat's."""
    eps: Any = None
    """Size of the ball in [0,1] pixels, as in `threat.eps`; none given: the threat's."""

    def __post_init__(self) -> None:
        check_norm(self.norm, self.norms)
        parse_eps(self.eps)

    def version_in(self, norm: str | None) -> str:
        """The version of its numbers in a norm, None where the data say which: its `version`.

        A component that changed in one norm alone says here what the other one's numbers are still.
        """
        del norm
        return self.version

    @abstractmethod
    def run(
        self,
        twin: nn.Module,
        images: Tensor,
        labels: Tensor,
        threat: Threat,
        rng: torch.Generator,
    ) -> Tensor:
        """Search candidates for float32 images in [0,1], shape (N, C, H, W): the same shape.

        `rng` is a CPU generator; nothing else may be random. Leaving the ball is no success: the
        core projects.
        """

    def run_judged(
        self,
        target: Target,
        images: Tensor,
        labels: Tensor,
        threat: Threat,
        rng: torch.Generator,
    ) -> Tensor:
        """As `run`, for a search that goes on where only the twin is fooled; what a run calls.

        `target.twin` gives gradients, `target.wrong` is the deployed model's word on candidates
        that lie in the ball, and on the 8-bit grid where `threat.grid` asks for it.
        """
        return self.run(target.twin, images, labels, threat, rng)


@dataclass(frozen=True, kw_only=True)
class Metric(Component):
    """A metric: reads the evidence of a run and yields values with intervals."""

    timed: ClassVar[bool] = False
    """Whether its values are timings, which two identical runs need not share: they are kept for
    this machine alone."""
    reads: ClassVar[Literal["outcomes", "deployed", "models"]] = "models"
    """The most that it reads of the evidence: the outcomes alone, answers of the deployed model
    too, or any model. Values of the first two outlive another version of torch where the labels
    do."""
    votes: ClassVar[bool] = False
    """Whether it needs a system that answers by votes, as a defense that smooths makes one."""

    measures: ClassVar[tuple[str, ...]] = ()
    """Metrics of its values, by which a record tells one that was not measured from a misspelt one;
    its choice's name is known anyway."""

    def identity(self) -> str:
        """What besides the options decides the values: versions of foreign packages, for one."""
        return ""

    @abstractmethod
    def measure(self, evidence: Evidence) -> Iterable[Value]:
        """Yield the values; evidence is lazy, so what is not asked for is not computed."""


@dataclass(frozen=True, kw_only=True)
class Check(Component):
    """A check of the audit: measures one thing about a system under a threat."""

    levels: ClassVar[tuple[str, ...]] = ()
    """Levels of the audit (quick, full) in which it runs once registered, after the audit's own;
    at the others, and without any, `audit.checks` may name it."""

    @abstractmethod
    def look(self, trial: Trial) -> Iterable[Finding]:
        """Yield findings, each a number, a verdict and a plain sentence.

        Adversarial examples handed to `trial.attempt` count towards the audited accuracy.
        """


@dataclass(frozen=True, kw_only=True)
class Certifier(Component):
    """A certifier: turns vote counts of a smoothed classifier into certified radii.

    A default instance must be valid: a run always names a certifier, and only metrics that certify
    read it.
    """

    alpha: float = 0.001
    """Probability that a certificate is false, for each image."""

    @abstractmethod
    def certify(
        self, votes: VoteSource, images: NDArray[np.int64], radii: Sequence[float]
    ) -> Certificates:
        """Certify images, given by their positions in the source: int64, shape (N,).

        `radii` are the L2 radii asked for, in [0,1] units, increasing from 0; what comes back says
        which were tested. The noise's law and sigma are the source's. Each certificate is false
        with probability at most `alpha`, over the draws.
        """


@dataclass(frozen=True, kw_only=True)
class Runtime(Component):
    """A runtime: opens a foreign file and answers as the shipped network does.

    Its package is imported when a file is opened, not before. It never loads a library that a file
    names.
    """

    suffixes: ClassVar[tuple[str, ...]] = ()
    """Endings of the files that it opens when no runtime is named, such as ".onnx"; a runtime that
    is only chosen by name has none of its own that another has."""
    opens: ClassVar[tuple[str, ...]] = ()
    """Endings of the files that it opens when it is named; none given: `suffixes`."""

    @abstractmethod
    def load(self, path: Path) -> Session:
        """Open a file; raises ImportError without the package, and UserError for a file that it
        cannot run.

        As many threads as torch has (`torch.get_num_threads()`).
        """


KINDS: dict[str, type[Component]] = {
    "dataset": Dataset,
    "model": Model,
    "defense": Defense,
    "compressor": Compressor,
    "attack": Attack,
    "metric": Metric,
    "check": Check,
    "certifier": Certifier,
    "runtime": Runtime,
}
"""The kinds that plugins register, by name."""


MOST = 10_000_000
"""What an option counts, such as steps or queries, at most: more of them never end."""


def require(condition: bool, message: str) -> None:
    """Raise ConfigError with `message` unless the condition holds; for `__post_init__`."""
    if not condition:
        raise ConfigError(message)


def require_positive(**options: float) -> None:
    """Raise ConfigError for the first option not above zero, or a whole number above MOST."""
    for name, value in options.items():
        require(value > 0, f"expected {name} > 0, got {value}")
        few = not isinstance(value, int) or value <= MOST
        require(few, f"expected {name} of at most {MOST:,}, got {shortened(str(value), 30)}")
