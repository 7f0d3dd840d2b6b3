"""The steps of a run up to the deployed system: each made when first asked for, and cached.

    data -> architecture -> trained -> mapped -> finished -> system
    dataset  model, prepare   train    transform   finish    deploy

What a step is named by in the cache stands below it, in `_..._inputs`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import nn

from robench.audit.fork import Fork, NotForked
from robench.audit.unasked import NotCopied, Unasked
from robench.base.errors import DataError, PluginError, UserError
from robench.base.hashing import digest, file_hash
from robench.base.seeds import derive, seed_scope
from robench.base.text import reason
from robench.core.data import Data, Split, stratified
from robench.core.outputs import ending
from robench.core.record import ENDING, RUN_KINDS, FileInfo, MadeOn, TwinAgreement
from robench.core.source import Source
from robench.core.system import Deployed, System, agreement, check_output, forward
from robench.core.threat import Threat, resolve_eps
from robench.core.weights import load_weights, save_weights
from robench.plugin import guest
from robench.plugin.components import (
    Component,
    Compressor,
    Dataset,
    Defense,
    DeployContext,
    Model,
)
from robench.records.store import FILE
from robench.run import keys, transfer
from robench.run.config import Places, RunConfig, only
from robench.run.data_cache import read_data, stamp, write_data
from robench.shipped.agreement import FEW, under_attack
from robench.training.checkpoint import remove_checkpoints
from robench.training.loop import Trainer
from robench.training.loss import plain_loss

if TYPE_CHECKING:
    from robench.run.cache import Cache

T = TypeVar("T")
FEW_ENDINGS = 16
"""Images whose outputs tell what a network ends in."""
MAX_NOTES = 2**20
"""Bytes of what a training reports, or a model says of itself, as JSON."""
PROGRAM_GIVEN = "the network is the integer program that was kept with a record"
FILE_GIVEN = "the network is the file that was kept with a record"
WEIGHTS_GIVEN = "the trained network is the weights that were kept with a record"


@dataclass(frozen=True)
class Weights:
    """A trained network's file in the cache, and what its training left beside it."""

    path: Path
    hash: str
    """SHA-256 of the file."""
    notes: dict[str, Any]
    """What the training reported."""
    made_on: MadeOn | None
    """None where that is not known."""


class Stages:
    """The data, models and system of one configuration."""

    def __init__(self, config: RunConfig, places: Places, cache: Cache) -> None:
        self.config = config
        self.places = places
        self.cache = cache
        self.dataset = only("dataset", config.dataset)
        self.model = only("model", config.model)
        self.defenses: tuple[Defense, ...] = tuple(config.defense.values())
        self.compressor = only("compressor", config.compressor)
        for defense in self.defenses:
            adapted = guest.call(defense, defense.adapt, self.compressor)
            self.compressor = _expect(defense, "adapt", Compressor, adapted)  # type: ignore[type-abstract]
        bits: Any = self.compressor.bits
        if type(bits) is not int or not 1 <= bits <= 64:
            name = guest.name_of(self.compressor)
            raise PluginError(
                f"expected bits of {name} to be a whole number 1..64, got {bits!r:.80}"
            )

    def again(self) -> Stages:
        """The same stages, sharing no model and no data with these."""
        return Stages(self.config, self.places, self.cache)

    @property
    def device(self) -> torch.device:
        """The device everything is computed on."""
        chosen = self.places.device
        if chosen == "auto":
            chosen = "cuda" if torch.cuda.is_available() else "cpu"
        return torch.device(chosen)

    # -- dataset -------------------------------------------------------------------------------

    @cached_property
    def data(self) -> Data:
        """The data set, from the cache when its files did not change."""
        root = self.places.data_root

        def make(folder: Path) -> None:
            given = guest.call(self.dataset, self.dataset.source, root)
            source = _expect(self.dataset, "source", Source, given)
            # Its pieces are read while they are written.
            guest.call(self.dataset, write_data, source, folder)

        return self.cache.fetch("data", self._data_inputs, make, read_data)

    @property
    def data_at_hand(self) -> bool:
        """Whether the data come without a file, or are in the cache."""
        return type(self.dataset).files is Dataset.files or self.data_kept

    @property
    def data_kept(self) -> bool:
        """Whether the data are in the cache."""
        return self.cache.holds("data", self._data_inputs)

    def outline(self, download: bool = False) -> bool:
        """Take what a plan needs to know of the data for them, unless they are in the cache.

        Returns whether they are there: False where they are to be downloaded and `download` is not
        asked. Raises what reading them would raise, as far as their labels and their first images
        tell.
        """
        if "data" in vars(self) or self.data_kept:
            return True
        root = self.places.data_root
        if not download and guest.call(self.dataset, self.dataset.downloads, root):
            return False
        given = guest.call(self.dataset, self.dataset.source, root)
        source = _expect(self.dataset, "source", Source, given)
        # Only all pixels tell another hash than the protocol's.
        hash_ = self.config.protocol.data if self.config.protocol else "not read"
        self.data = guest.call(self.dataset, source.outline, hash_)
        return True

    @cached_property
    def _data_inputs(self) -> dict[str, Any]:
        root = self.places.data_root
        files = guest.collect(self.dataset, self.dataset.files, root)
        return {
            "dataset": keys.component_key(self.dataset),
            "files": digest([stamp(path, root) for path in files]),
        }

    @cached_property
    def basis(self) -> dict[str, Any]:
        """What decides the run's numbers beside its configuration, told before data are read."""
        kinds: tuple[Mapping[str, Any], ...] = tuple(getattr(self.config, k) for k in RUN_KINDS)
        components = [keys.component_key(one) for chosen in kinds for one in chosen.values()]
        return {"files": self._data_inputs, "model": self._model_key, "components": components}

    @cached_property
    def subset(self) -> torch.Tensor:
        """Indices of the judged test images: all, or a seeded, stratified subset.

        Raises DataError for more than there are, and for others than a protocol's.
        """
        labels, count = self.data.test.labels, self.config.images
        if count is None or count == len(labels):
            return self._of_protocol(torch.arange(len(labels)))
        rng = np.random.default_rng(derive(self.config.images_seed, "images"))
        return self._of_protocol(stratified(labels, count, rng))

    def _of_protocol(self, subset: torch.Tensor) -> torch.Tensor:
        protocol = self.config.protocol
        drawn = digest(subset.tolist())
        if protocol and (self.data.hash, drawn) != (protocol.data, protocol.subset):
            raise DataError(
                f"expected data {protocol.data} and images {protocol.subset}, which protocol "
                f"{protocol.name} fixes, got {self.data.hash} and {drawn}; use the data set as it "
                "was published"
            )
        return subset

    @cached_property
    def test(self) -> Split:
        """The judged test images."""
        return self._taken()

    # -- model and prepare ---------------------------------------------------------------------

    def untrained(self) -> nn.Module:
        """A new network, PluginError when it is broken; initial weights follow the seed."""
        return self._built(self.model.build)

    def _built(self, make: Callable[[tuple[int, int, int], int], nn.Module]) -> nn.Module:
        shape, classes = self.data.shape, len(self.data.classes)

        def build() -> nn.Module:
            with seed_scope(derive(self.config.seed, "init")):
                built = guest.call(self.model, make, shape, classes)
            return _expect(self.model, "build", nn.Module, built)

        return check_output(build, shape, classes, self.device)

    def architecture(self) -> nn.Module:
        """A new network, prepared by the compressor; PluginError when it is broken."""
        model = self.untrained()
        if not self.compressor.changes_training:
            return model
        prepared = guest.call(self.compressor, self.compressor.prepare, model, self.data.shape)
        return _expect(self.compressor, "prepare", nn.Module, prepared)

    # -- train ---------------------------------------------------------------------------------

    @property
    def trainer_defense(self) -> Defense | None:
        """The defense that trains, or None: training is plain then."""
        return next((d for d in self.defenses if d.changes_training), None)

    @property
    def comes_trained(self) -> bool:
        """Whether the network comes trained and stays as it is."""
        trains = any(defense.changes_training for defense in self.defenses)
        return self.model.pretrained and not trains and not self.compressor.changes_training

    @cached_property
    def weights(self) -> Weights:
        """The trained weights, from the cache or from training."""
        return self.cache.fetch("train", self._train_inputs, self._train, _read_weights)

    @property
    def train_key(self) -> str:
        """The hash of what decides the training."""
        return self.cache.key("train", self._train_inputs)

    @property
    def is_trained(self) -> bool:
        """Whether the trained network is in the cache."""
        return self.cache.holds("train", self._train_inputs)

    @cached_property
    def training(self) -> str:
        """The hash of what decides the training, told before any data are read."""
        return digest({"files": self._data_inputs, **self._fit_inputs})

    @cached_property
    def trained(self) -> nn.Module:
        """The trained network, in eval mode on the device."""
        model = load_weights(self.architecture(), self.weights.path)
        return model.to(self.device).to(memory_format=torch.channels_last).eval()

    def _train(self, folder: Path) -> None:
        model = self.architecture()
        trainer = Trainer(self.config.recipe, self.config.seed, self.device, folder)
        if defense := self.trainer_defense:
            fitted = guest.call(defense, defense.fit, model, deepcopy(self.data), trainer)
            model = _expect(defense, "fit", nn.Module, fitted)
        elif not self.comes_trained:
            model = trainer.fit(model, self.data.train, plain_loss)
        remove_checkpoints(folder)
        if defense:
            _require_plain(defense, trainer.notes)
        about = {"notes": trainer.notes, "made_on": keys.made_on(self.device).model_dump()}
        (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")
        save_weights(model, folder / "model.safetensors")

    @cached_property
    def _train_inputs(self) -> dict[str, Any]:
        return {"data": keys.data_key(self.data), **self._fit_inputs}

    @cached_property
    def _fit_inputs(self) -> dict[str, Any]:
        # By the same properties as in `architecture` and `_train`: what is asked is named.
        defense, prepares = self.trainer_defense, self.compressor.changes_training
        return {
            "model": self._model_key,
            "defense": self._defense_key(defense) if defense else "plain",
            "compressor": keys.component_key(self.compressor) if prepares else "none",
            "recipe": None if self.comes_trained else asdict(self.config.recipe),
            "seed": self.config.seed,
        }

    @cached_property
    def _model_key(self) -> dict[str, Any]:
        identity = guest.call(self.model, self.model.identity)
        return keys.component_key(self.model) | {"identity": identity}

    def _defense_key(self, defense: Defense) -> dict[str, Any]:
        trained = guest.call(defense, defense.as_trained)
        return keys.component_key(_expect(defense, "as_trained", Defense, trained))

    # -- transform -----------------------------------------------------------------------------

    @cached_property
    def mapped(self) -> nn.Module:
        """The trained network after every defense's transform, in list order."""
        return self._transformed(self.trained)

    def _transformed(self, model: nn.Module) -> nn.Module:
        for defense in self.defenses:
            if type(defense).transform is not Defense.transform:
                changed = guest.call(defense, defense.transform, self._own(model))
                model = _expect(defense, "transform", nn.Module, changed)
        return model.eval()

    # -- finish --------------------------------------------------------------------------------

    @cached_property
    def finished(self) -> System:
        """The compressor's system, before any defense wraps it; of a file, the file opened."""
        if self.compressor.makes_file:
            reopen = self.compressor.reopen
            opened = guest.call(self.compressor, reopen, self._file, deepcopy(self.data))
            system = _expect(self.compressor, "reopen", System, opened)
        else:
            system = self._compressed()
        for twin in (system.twin, *system.others.values()):
            twin.eval()
        return system

    def _compressed(self) -> System:
        """What the compressor makes of the network."""
        finish = self.compressor.finish
        with seed_scope(derive(self.config.seed, "finish")):
            system = guest.call(self.compressor, finish, self._handed, deepcopy(self.data))
        _check_system(self.compressor, "finish", system)
        return system

    def rehearse(self) -> None:
        """Take an untrained network through the steps after training: what they refuse, they raise.

        Compression is left out where only a trained network can be compressed, and where a
        toolchain does it, whose work is long.
        """
        network = self._transformed(self.architecture().to(self.device).eval())
        if not (self.compressor.makes_file or self.compressor.changes_training):
            with seed_scope(derive(self.config.seed, "finish")):
                data = deepcopy(self.data)
                guest.call(self.compressor, self.compressor.finish, self._own(network), data)

    @cached_property
    def _file(self) -> Path:
        """The foreign file that ships, as it is kept: a toolchain works once."""

        def make(folder: Path) -> None:
            guest.call(self._finisher, self._before_kept().deployed.save, folder)

        return self.cache.fetch("file", {"system": self.system_key}, make, _only_file)

    def _before_kept(self) -> System:
        """What holds the file before it is kept."""
        return self._compressed()

    @cached_property
    def _handed(self) -> nn.Module:
        """What the compressor gets: a copy of the network, which it may change."""
        return self._own(self.mapped)

    def _own(self, network: nn.Module) -> nn.Module:
        return guest.own_copy(f"the network of {guest.name_of(self.model)}", network)

    @property
    def twin_is_trained(self) -> bool:
        """Whether the twin is the trained network itself, neither mapped nor made anew."""
        return self.mapped is self.trained and self.system.twin is self._handed

    # -- deploy --------------------------------------------------------------------------------

    @property
    def system(self) -> System:
        """The system that is attacked and judged."""
        return self._shipped[0]

    @property
    def deployed(self) -> guest.Answers:
        """The deployed model as the core asks it."""
        return self._shipped[1]

    @property
    def unasked(self) -> Unasked | None:
        """The system before it was asked anything, for an audit; None where it is not to be had."""
        return self._shipped[2]

    @property
    def fork(self) -> Fork | None:
        """The same in a process of its own, for an audit; None where there is none."""
        return self._shipped[3]

    @cached_property
    def _shipped(self) -> tuple[System, guest.Answers, Unasked | None, Fork | None]:
        system = self._deployed()
        drawn, classes = self.model.randomised, len(self.data.classes)
        answers = guest.Answers(self.system_name, system.deployed, classes, drawn=drawn)
        unasked, fork = None, None
        if self.config.audit.level != "off" and not system.black_box:
            with suppress(NotCopied):
                unasked = Unasked(replace(system, deployed=answers))
            if unasked is None or unasked.foreign:
                with suppress(NotForked):
                    fork = Fork(replace(system, deployed=answers))
        return system, answers, unasked, fork

    def _deployed(self) -> System:
        """What the defenses make of the finished system."""
        system = self.finished
        seed = derive(self.config.seed, "deploy")
        for defense in self.defenses:
            if type(defense).deploy is not Defense.deploy:
                system = self._wrapped(system, defense, seed)
        return system

    def _wrapped(self, system: System, defense: Defense, seed: int) -> System:
        """What a defense makes of a system; of its twin, whose agreement is known, it is held to
        make a copy."""
        context = DeployContext(deepcopy(self.data), seed)
        told = "" if guest.is_ours(defense) else self._told(system.twin)
        wrapped = self._deployed_by(defense, system, context)
        others = {
            name: self._deployed_by(defense, System(system.deployed, twin), context).twin
            for name, twin in system.others.items()
        }
        wrapped = replace(wrapped, others=others, black_box=system.black_box)
        if told and self._told(system.twin) != told:
            raise PluginError(
                f"expected deploy of {guest.name_of(defense)} to leave the twin that it was given "
                "as it was, got another one; change a copy of it"
            )
        return wrapped

    def _deployed_by(self, defense: Defense, system: System, context: DeployContext) -> System:
        wrapped = guest.call(defense, defense.deploy, system, context)
        _check_system(defense, "deploy", wrapped)
        return wrapped

    def _told(self, twin: nn.Module) -> str:
        """A digest of a twin's weights and of what it answers to a few images."""
        with seed_scope(derive(self.config.seed, "told")):
            parts = [forward(twin, self.judged.float_images(8)), *twin.state_dict().values()]
        told = hashlib.sha256()
        for part in parts:
            if isinstance(part, torch.Tensor):
                flat = part.detach().cpu().contiguous().reshape(-1)
                told.update(flat.view(torch.uint8).numpy().tobytes())
        return told.hexdigest()

    @property
    def system_name(self) -> str:
        """Who made the system, in words."""
        makers: list[Component] = [self._finisher]
        makers += [d for d in self.defenses if type(d).deploy is not Defense.deploy]
        return f"the deployed model of {' and '.join(guest.name_of(maker) for maker in makers)}"

    @cached_property
    def judged(self) -> Split:
        """The data set's own judged images, which no component ever had in hand."""
        return self._taken()

    def _taken(self) -> Split:
        # Through a map of its own: what was read of a file counts as memory until its map is gone.
        return deepcopy(self.data.test).take(self.subset)

    @cached_property
    def system_inputs(self) -> dict[str, Any]:
        """What decides the system's function: the key of every step below it begins with it."""
        return {
            "network": self.network,
            "data": keys.data_key(self.data),
            "defense": [keys.component_key(defense) for defense in self.defenses],
            "compressor": keys.component_key(self.compressor),
            "seed": self.config.seed,
        }

    @property
    def network(self) -> dict[str, Any]:
        """The trained network by the hash of its weights, however they were made."""
        return {"weights": self.weights.hash, "model": self._model_key}

    @cached_property
    def system_key(self) -> str:
        """The hash of the system: everything that decides what it answers, the machine left out."""
        return self.cache.key("system", self.system_inputs)

    @cached_property
    def content(self) -> str:
        """The hash of the system's weights and options alone, without any version.

        It seeds the answers of a randomised system, so that another version draws no other votes.
        """
        kinds = ("weights", "program", "file")
        network = next(self.network[kind] for kind in kinds if kind in self.network)
        return digest([network, self.config.plain()["defense"], list(self.config.defense)])

    @cached_property
    def environment(self) -> dict[str, Any]:
        """What decides the labels besides the system: its C, or the float machine, or both."""
        exact = self.cached("system", {"asks": "exact"}, lambda: self.deployed.exact)
        program = self.program
        generated: dict[str, Any] = (
            {"c": guest.call(self.compressor, _generated, program)} if program else {}
        )
        if facts := self.facts:
            kept = ("runtime", "version", "provider", "instructions")
            generated |= {"runtime": {name: getattr(facts, name) for name in kept}}
        return generated if exact else generated | keys.float_environment(self.device)

    @property
    def facts(self) -> FileInfo | None:
        """The foreign file that ships, and what runs it; None of a network that robench made."""
        if not self.ships_file:
            return None
        facts: FileInfo = self.finished.deployed.facts  # type: ignore[attr-defined]
        made_of = self._made_of()
        return facts.model_copy(update={"parent": made_of.weights.hash}) if made_of else facts

    @property
    def bits(self) -> int | None:
        """Of the widest weight as it ships; None of a foreign file that robench cannot read."""
        return self.facts.bits if self.facts else self.compressor.bits

    @property
    def ships_file(self) -> bool:
        """Whether a foreign file is what ships."""
        return self.model.arrives_finished or self.compressor.makes_file

    @property
    def kept(self) -> Path:
        """What a record keeps: the file that ships, the integer program, else the weights."""
        if self.ships_file:
            return self._file
        return self.program or self.weights.path

    @property
    def _finisher(self) -> Model | Compressor:
        """What makes the finished system."""
        return self.compressor

    @cached_property
    def program(self) -> Path | None:
        """The file of the integer program that ships; None where a float network does."""

        def make(folder: Path) -> None:
            guest.call(self.compressor, _save_program, self.finished.deployed, folder)

        def find(folder: Path) -> Path | None:
            return next(folder.glob("*.robench"), None)

        return self.cache.fetch("program", {"system": self.system_key}, make, find)

    @property
    def certify_seed(self) -> int:
        """The seed of certification's noise; image i's stream is its number in the test set."""
        return derive(self.config.seed, "certify")

    @property
    def notes(self) -> dict[str, Any]:
        """What the training reported, and the model says of itself, for the record."""
        told = guest.call(self.model, self.model.notes, self.data.shape, len(self.data.classes))
        notes = dict(_expect(self.model, "notes", Mapping, told))  # type: ignore[type-abstract]
        _require_plain(self.model, notes)
        made = self.cached("system", {"asks": "ending"}, self._ending)
        return {**self.weights.notes, **notes, **({ENDING: made} if made else {})}

    def _ending(self) -> str:
        """What the trained network ends in; empty for logits."""
        network = self._own(self.trained).eval()
        with seed_scope(derive(self.config.seed, "ending")):
            return guest.call(self.model, ending, network, self.judged.float_images(FEW_ENDINGS))

    @property
    def made_on(self) -> MadeOn | None:
        """Where the network was trained; None where that is not known."""
        return self.weights.made_on

    @cached_property
    def parent(self) -> Stages | None:
        """The stages of the float network that a file was made from; None where none is given."""
        model = self.model.of_parent
        if model is None:
            return self._made_of()
        return stages(transfer.parent(self.config, model), self.places, self.cache)

    def _made_of(self) -> Stages | None:
        """The stages of the network that a compressor makes a file of; None where none does."""
        if not self.compressor.makes_file:
            return None
        return Stages(transfer.uncompressed(self.config), self.places, self.cache)

    @cached_property
    def agreement(self) -> TwinAgreement:
        """The twin against the deployed model on the judged images, before and after defenses."""
        inputs = {"images": digest(self.subset.tolist()), **self.environment}
        if self.facts:
            inputs |= {"threat": asdict(self._usual_threat), "alone": FEW}
        stored = self.cached("agreement", inputs, lambda: self._agree().model_dump())
        return TwinAgreement(**stored)

    def _agree(self) -> TwinAgreement:
        wrapped = self.system if self.system is not self.finished else None
        given = self.finished, self.test, self.model.randomised, wrapped
        seed = derive(self.config.seed, "agreement")
        with seed_scope(seed):
            found = guest.call(self.system_name, agreement, *given)
            if self.facts is None:
                return found
            about = self.finished, self.test, self._usual_threat, seed
            return guest.call(self.system_name, under_attack, found, *about)

    @property
    def _usual_threat(self) -> Threat:
        """The largest ball that attacks inherit."""
        given, usual = self.config.threat, self.data.threat
        norm = given.norm or usual.norm
        return Threat(norm, max(resolve_eps(given.eps, usual, norm)), given.grid)

    def cached(self, step: str, inputs: dict[str, Any], make: Callable[[], Any]) -> Any:
        """A JSON-like result about this system, made once for these inputs."""

        def write(folder: Path) -> None:
            text = json.dumps(make(), allow_nan=False)
            (folder / "value.json").write_text(text, encoding="utf-8")

        def read(folder: Path) -> Any:
            return json.loads((folder / "value.json").read_text(encoding="utf-8"))

        return self.cache.fetch(step, {"system": self.system_key, **inputs}, write, read)


class ProgramStages(Stages):
    """The stages of a configuration whose training and compression an integer program stands for.

    Its twin, made from the program, stands for the trained network too.
    """

    def __init__(self, config: RunConfig, places: Places, cache: Cache, program: Path) -> None:
        super().__init__(config, places, cache)
        self._given = program

    def again(self) -> ProgramStages:
        """See Stages."""
        return ProgramStages(self.config, self.places, self.cache, self._given)

    @property
    def twin_is_trained(self) -> bool:
        """See Stages."""
        return self.system.twin is self.trained

    made_on = None
    is_trained = True

    @property
    def notes(self) -> dict[str, Any]:
        """Nothing of a training, but what stands for it."""
        return {"stored": PROGRAM_GIVEN}

    @property
    def network(self) -> dict[str, Any]:
        """The program by its file's hash."""
        return {"program": file_hash(self._given)}

    @cached_property
    def finished(self) -> System:
        """The program's own system."""
        from robench.integer.deployed import stored_system

        return stored_system(self._given)

    @cached_property
    def trained(self) -> nn.Module:
        """The program's twin."""
        return self.finished.twin.to(self.device)


class FileStages(Stages):
    """The stages of a configuration whose network is a file that ships: nothing is trained.

    The model hands it over, or a record kept it, of a model or of a compressor that makes files.
    Its twin stands for the trained network, too.
    """

    def __init__(
        self, config: RunConfig, places: Places, cache: Cache, given: Path | None = None
    ) -> None:
        super().__init__(config, places, cache)
        self._given = given

    def again(self) -> FileStages:
        """See Stages."""
        return FileStages(self.config, self.places, self.cache, self._given)

    @property
    def twin_is_trained(self) -> bool:
        """See Stages."""
        return self.system.twin is self.trained

    made_on = None
    is_trained = True

    def rehearse(self) -> None:
        """Open the file in its runtime."""
        _ = self.finished

    @property
    def notes(self) -> dict[str, Any]:
        """Nothing of a training, but what stands for it."""
        return {"stored": FILE_GIVEN} if self._given else {}

    @cached_property
    def network(self) -> dict[str, Any]:
        """The file by its hash, and how its model reads it."""
        if self._given is None:
            assert self.facts is not None
            return {"file": self.facts.sha256, "model": self._model_key}
        model = keys.component_key(self.model) | {"identity": ""}
        return {"file": file_hash(self._given), "model": model}

    @property
    def _finisher(self) -> Model | Compressor:
        return self.model if self.model.arrives_finished else self.compressor

    @cached_property
    def finished(self) -> System:
        """The file in its runtime."""
        with seed_scope(derive(self.config.seed, "finish")):
            opened = self._opened(deepcopy(self.data))
        system = _expect(self._finisher, "the file", System, opened)
        for twin in (system.twin, *system.others.values()):
            twin.to(self.device).eval()
        return system

    def _made_of(self) -> None:
        """Not known: the file alone was kept."""

    def _before_kept(self) -> System:
        return self.finished

    def _opened(self, data: Data) -> System | None:
        if self._given is None:
            return guest.call(self.model, self.model.system, data)
        return guest.call(self._finisher, self._finisher.reopen, self._given, data)

    @property
    def trained(self) -> nn.Module:
        """The file's twin."""
        return self.finished.twin


class WeightsStages(Stages):
    """The stages of a configuration whose training a file of weights stands for.

    Maps, compression and deployment are made again; no other file of the model's is read.
    """

    def __init__(self, config: RunConfig, places: Places, cache: Cache, weights: Path) -> None:
        super().__init__(config, places, cache)
        self._given = weights

    is_trained = True

    def untrained(self) -> nn.Module:
        """A new network, with no weights of a file that the model may name."""
        return self._built(self.model.untrained)

    def _made_of(self) -> Stages | None:
        """See Stages."""
        if not self.compressor.makes_file:
            return None
        config = transfer.uncompressed(self.config)
        return WeightsStages(config, self.places, self.cache, self._given)

    @cached_property
    def weights(self) -> Weights:
        """The given file."""
        return Weights(self._given, file_hash(self._given), {"stored": WEIGHTS_GIVEN}, None)

    @property
    def notes(self) -> dict[str, Any]:
        """What stands for the training; nothing of files that the model may name."""
        return self.weights.notes

    @cached_property
    def _model_key(self) -> dict[str, Any]:
        return keys.component_key(self.model) | {"identity": ""}


def _expect(maker: Component, method: str, kind: type[T], made: Any) -> T:
    """What a component made; PluginError naming it unless it is what its contract says."""
    if not isinstance(made, kind):
        raise PluginError(
            f"expected {method} of {guest.name_of(maker)} to return a {kind.__name__}, got "
            f"{type(made).__name__}"
        )
    return made


def _require_plain(maker: Component, notes: Any) -> None:
    """Raise PluginError unless a record can hold the notes of a training or of a model."""
    try:
        size = len(json.dumps(notes, allow_nan=False))
    except Exception as error:  # what a component left there may be anything
        raise PluginError(
            f"expected notes of {guest.name_of(maker)} that JSON can hold, got {reason(error)}"
        ) from error
    if size > MAX_NOTES or not isinstance(notes, dict):
        raise PluginError(
            f"expected notes of {guest.name_of(maker)} as a mapping of at most {MAX_NOTES} "
            f"bytes, got {size} bytes of {type(notes).__name__}"
        )


def _check_system(maker: Component, method: str, made: Any) -> None:
    system = _expect(maker, method, System, made)
    _expect(maker, f"{method} (the twin)", nn.Module, system.twin)


def stages(config: RunConfig, places: Places, cache: Cache, kept: Path | None = None) -> Stages:
    """The stages of a configuration; `kept` is what a record of it keeps, or None.

    Raises UserError where such a record keeps another kind of file.
    """
    model, compressor = only("model", config.model), only("compressor", config.compressor)
    if kept is None:
        made = FileStages if model.arrives_finished else Stages
        return made(config, places, cache)
    foreign = kept.suffix not in (".safetensors", ".robench")
    if foreign != (model.arrives_finished or compressor.makes_file):
        wanted = "weights or an integer program" if foreign else "a foreign file"
        raise UserError(f"expected {wanted} kept with such a run, got {kept.name}")
    if foreign:
        return FileStages(config, places, cache, kept)
    given = WeightsStages if kept.suffix == ".safetensors" else ProgramStages
    return given(config, places, cache, kept)


def _only_file(folder: Path) -> Path:
    return next(path for path in folder.iterdir() if path.stem == FILE)


def _read_weights(folder: Path) -> Weights:
    path = folder / "model.safetensors"
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    return Weights(path, file_hash(path), about["notes"], MadeOn(**about["made_on"]))


def _save_program(deployed: Deployed, folder: Path) -> None:
    if hasattr(deployed, "program"):
        deployed.save(folder)


def _generated(program: Path) -> str:
    """The hash of the C that runs a program, and of the C that counts its votes."""
    from robench.integer.codegen import generate
    from robench.integer.file import load_program
    from robench.smoothing.compiled import vote_source

    return digest(vote_source(generate(load_program(program))))
