"""The steps of a run up to the deployed system: each lazy, each named by a hash, cached."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from robench.base.hashing import code, component_code, digest
from robench.base.seeds import derive, seed_scope
from robench.core.agreement import Agreement, agreement
from robench.core.data import Data, Split, stratified
from robench.core.system import System, check_output
from robench.core.weights import load_weights, save_weights
from robench.plugin.components import Defense, DeployContext
from robench.run.config import Places, RunConfig, only, plain_options
from robench.run.data_cache import read_data, stamp, write_data
from robench.training.checkpoint import remove_checkpoints
from robench.training.loop import Trainer

if TYPE_CHECKING:
    from torch import nn

    from robench.plugin.components import Component
    from robench.run.cache import Cache


T = TypeVar("T")
STORED = "the network is the integer program that was kept with a record"


def named(component: Component, training: bool = False) -> dict[str, Any]:
    """What a step's hash holds of a component: its class, options, version and (training) code."""
    cls = type(component)
    return {
        "class": f"{cls.__module__}.{cls.__qualname__}",
        "options": plain_options(component),
        "version": cls.version,
        "code": component_code(component, training),
    }


class Steps:
    """The data, models and system of one configuration, made when first asked for."""

    def __init__(
        self, config: RunConfig, places: Places, cache: Cache, stored: Path | None = None
    ) -> None:
        self.config = config
        self.places = places
        self.cache = cache
        self.stored = stored
        """The file of an integer program that stands for training and compression, or None."""
        self.dataset = only("dataset", config.dataset)
        self.model = only("model", config.model)
        self.defenses: tuple[Defense, ...] = tuple(config.defense.values())
        self.compressor = only("compressor", config.compressor)
        for defense in self.defenses:
            self.compressor = defense.adapt(self.compressor)
        self.notes: dict[str, Any] = {"stored": STORED} if stored else {}

    @property
    def device(self) -> torch.device:
        """The device everything is computed on."""
        chosen = self.places.device
        if chosen == "auto":
            chosen = "cuda" if torch.cuda.is_available() else "cpu"
        return torch.device(chosen)

    @property
    def machine(self) -> dict[str, Any]:
        """What of the machine can change bits: device kind and number of threads."""
        threads = torch.get_num_threads() if self.device.type == "cpu" else 0
        return {"device": self.device.type, "threads": threads}

    # -- data ----------------------------------------------------------------------------------

    @cached_property
    def data(self) -> Data:
        """The data set, from the cache when its files did not change."""
        root = self.places.data_root
        files = [stamp(path, root) for path in self.dataset.files(root)]
        inputs = {"dataset": named(self.dataset), "files": files}
        return self.cache.fetch(
            "data", inputs, lambda folder: write_data(self.dataset.load(root), folder), read_data
        )

    @cached_property
    def subset(self) -> torch.Tensor:
        """Indices of the judged test images: all, or a seeded, stratified subset."""
        labels, count = self.data.test.labels, self.config.images
        if count is None or count == len(labels):
            return torch.arange(len(labels))
        return stratified(labels, count, np.random.default_rng(derive(self.config.seed, "images")))

    @cached_property
    def test(self) -> Split:
        """The judged test images."""
        return self.data.test.take(self.subset)

    # -- training ------------------------------------------------------------------------------

    @property
    def trainer_defense(self) -> Defense:
        """The defense that trains; the first one, whose training is plain, when none does."""
        return next((d for d in self.defenses if d.changes_training), self.defenses[0])

    @property
    def pretrained(self) -> bool:
        """Whether the network comes trained and stays as it is."""
        trains = any(d.changes_training for d in self.defenses) or self.compressor.trains_with
        return self.model.pretrained and not trains

    @cached_property
    def trained_key(self) -> str:
        """The hash of the trained weights, or of the stored program."""
        if self.stored is not None:
            return digest({"stored": hashlib.sha256(self.stored.read_bytes()).hexdigest()})
        return self.cache.key("train", self._train_inputs)

    @cached_property
    def _train_inputs(self) -> dict[str, Any]:
        defense = self.trainer_defense.as_trained()
        trains, prepares = defense.changes_training, self.compressor.trains_with
        return {
            "data": self.data.hash,
            "model": named(self.model) | {"identity": self.model.identity()},
            "defense": named(defense, training=True) if trains else "plain",
            "compressor": named(self.compressor, training=True) if prepares else "none",
            "recipe": None if self.pretrained else asdict(self.config.recipe),
            "seed": self.config.seed,
            "code": code("robench.training.loop"),
            **self.machine,
        }

    @property
    def is_trained(self) -> bool:
        """Whether the trained network is in the cache."""
        return self.cache.holds("train", self._train_inputs)

    def architecture(self) -> nn.Module:
        """The untrained network, prepared by the compressor; initial weights follow the seed."""

        def build() -> nn.Module:
            with seed_scope(derive(self.config.seed, "init")):
                return self.model.build(self.data.shape, len(self.data.classes))

        model = check_output(build, self.data.shape, len(self.data.classes))
        return self.compressor.prepare(model, self.data.shape)

    @cached_property
    def trained(self) -> nn.Module:
        """The trained network, in eval mode on the device; raises PluginError when it is broken.

        A stored program's twin stands for it where there is one.
        """
        if self.stored is not None:
            return self.finished.twin.to(self.device)

        def read(folder: Path) -> nn.Module:
            self.notes.update(json.loads((folder / "notes.json").read_text(encoding="utf-8")))
            return load_weights(self.architecture(), folder / "model.safetensors")

        model = self.cache.fetch("train", self._train_inputs, self._train, read)
        return model.to(self.device).to(memory_format=torch.channels_last).eval()

    def _train(self, folder: Path) -> None:
        model = self.architecture()
        trainer = Trainer(self.config.recipe, self.config.seed, self.device, folder)
        if not self.pretrained:
            model = self.trainer_defense.fit(model, self.data, trainer)
        remove_checkpoints(folder)
        (folder / "notes.json").write_text(json.dumps(trainer.notes), encoding="utf-8")
        save_weights(model, folder / "model.safetensors")

    # -- the deployed system -------------------------------------------------------------------

    @cached_property
    def system_key(self) -> str:
        """The hash of the system: everything that decides what it answers."""
        return digest({"step": "system", **self._system_inputs})

    @cached_property
    def _system_inputs(self) -> dict[str, Any]:
        maps = [d for d in self.defenses if type(d).transform is not Defense.transform]
        wraps = [d for d in self.defenses if type(d).deploy is not Defense.deploy]
        return {
            "trained": self.trained_key,
            "transform": [named(d) for d in maps],
            "compressor": named(self.compressor),
            "deploy": [named(d) for d in wraps],
            "seed": self.config.seed,
            "code": code("robench.core.system"),
            **self.machine,
        }

    @cached_property
    def mapped(self) -> nn.Module:
        """The trained network after every defense's transform, in list order."""
        model = self.trained
        for defense in self.defenses:
            model = defense.transform(model)
        return model.eval()

    @cached_property
    def finished(self) -> System:
        """The compressor's system, before any defense wraps it."""
        if self.stored is not None:
            from robench.integer.deployed import stored_system

            return stored_system(self.stored)
        with seed_scope(derive(self.config.seed, "finish")):
            system = self.compressor.finish(self.mapped, self.data)
        system.twin.eval()
        return system

    @cached_property
    def system(self) -> System:
        """The system that is attacked and judged."""
        system = self.finished
        context = DeployContext(self.data, derive(self.config.seed, "deploy"))
        for defense in self.defenses:
            system = defense.deploy(system, context)
        return system

    @cached_property
    def program(self) -> Path | None:
        """The file of the integer program that ships; None where a float network does."""

        def make(folder: Path) -> None:
            deployed = self.finished.deployed
            if hasattr(deployed, "program"):
                deployed.save(folder)

        def find(folder: Path) -> Path | None:
            return next(folder.glob("*.robench"), None)

        return self.cache.fetch("program", {"system": self.system_key}, make, find)

    @property
    def certify_seed(self) -> int:
        """The seed of certification's noise; image i's stream is its number in the test set."""
        return derive(self.config.seed, "certify")

    @cached_property
    def agreement(self) -> Agreement:
        """The twin against the deployed model on the judged images, before smoothing."""
        return self.cached(
            "agreement",
            {"images": digest(self.subset.tolist()), "data": self.data.hash},
            lambda: asdict(self._agree()),
            lambda values: Agreement(**values),
        )

    def _agree(self) -> Agreement:
        with seed_scope(derive(self.config.seed, "agreement")):
            return agreement(self.finished, self.test)

    def cached(
        self,
        step: str,
        inputs: dict[str, Any],
        make: Callable[[], Any],
        read: Callable[[Any], T],
    ) -> T:
        """Cache a JSON-like result about this system: `read` of what `make` returned."""

        def write(folder: Path) -> None:
            text = json.dumps(make(), allow_nan=False)
            (folder / "value.json").write_text(text, encoding="utf-8")

        def load(folder: Path) -> T:
            return read(json.loads((folder / "value.json").read_text(encoding="utf-8")))

        return self.cache.fetch(step, {"system": self.system_key, **inputs}, write, load)
