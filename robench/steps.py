"""The steps of a run up to the deployed system: each lazy, each named by a hash, cached."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from robench.checkpoint import remove_checkpoints
from robench.components import Defense, DeployContext
from robench.config import Places, RunConfig, only, plain_options
from robench.data import Data, Split, stratified
from robench.digest import code, component_code, digest
from robench.errors import PluginError
from robench.seeds import derive, seed_scope
from robench.system import System, check_output, forward
from robench.threat import UsualThreat
from robench.train import Trainer
from robench.weights import load_weights, save_weights

if TYPE_CHECKING:
    from torch import nn

    from robench.cache import Cache
    from robench.components import Component


T = TypeVar("T")


def named(component: Component) -> dict[str, Any]:
    """What a step's hash holds of a component: its class, options, version and code."""
    cls = type(component)
    return {
        "class": f"{cls.__module__}.{cls.__qualname__}",
        "options": plain_options(component),
        "version": cls.version,
        "code": component_code(component),
    }


@dataclass(frozen=True)
class Agreement:
    """How well the twin computes the deployed function, before smoothing."""

    equal_labels: float
    """Share of test images with the same label, in [0,1]."""
    logit_gap: float | None
    """Largest absolute difference of two logits; None when the deployed model has none."""
    n: int


class Steps:
    """The data, models and system of one configuration, made when first asked for."""

    def __init__(self, config: RunConfig, places: Places, cache: Cache) -> None:
        self.config = config
        self.places = places
        self.cache = cache
        self.dataset = only("dataset", config.dataset)
        self.model = only("model", config.model)
        self.defenses: tuple[Defense, ...] = tuple(config.defense.values())
        self.compressor = only("compressor", config.compressor)
        for defense in self.defenses:
            self.compressor = defense.adapt(self.compressor)
        self.notes: dict[str, Any] = {}

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
        files = [_stamp(path, root) for path in self.dataset.files(root)]
        inputs = {"dataset": named(self.dataset), "files": files}
        return self.cache.fetch(
            "data", inputs, lambda folder: _write_data(self.dataset.load(root), folder), _read_data
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
        """The hash of the trained weights."""
        return self.cache.key("train", self._train_inputs)

    @cached_property
    def _train_inputs(self) -> dict[str, Any]:
        defense = self.trainer_defense
        return {
            "data": self.data.hash,
            "model": named(self.model) | {"identity": self.model.identity()},
            "defense": named(defense) if defense.changes_training else "plain",
            "compressor": named(self.compressor) if self.compressor.trains_with else "none",
            "recipe": None if self.pretrained else asdict(self.config.recipe),
            "seed": self.config.seed,
            "code": code("robench.train"),
            **self.machine,
        }

    def architecture(self) -> nn.Module:
        """The untrained network, prepared by the compressor; initial weights follow the seed."""

        def build() -> nn.Module:
            with seed_scope(derive(self.config.seed, "init")):
                return self.model.build(self.data.shape, len(self.data.classes))

        model = check_output(build, self.data.shape, len(self.data.classes))
        return self.compressor.prepare(model, self.data.shape)

    @cached_property
    def trained(self) -> nn.Module:
        """The trained network, in eval mode on the device; raises PluginError when it is broken."""

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
            "code": code("robench.system"),
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
            _read_agreement,
        )

    def _agree(self) -> Agreement:
        with seed_scope(derive(self.config.seed, "agreement")):
            return _agreement(self.finished, self.test)

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


def _read_agreement(values: dict[str, Any]) -> Agreement:
    return Agreement(**values)


def _agreement(system: System, test: Split) -> Agreement:
    images = test.float_images()
    twin = forward(system.twin, images)
    labels = system.deployed.predict(images)
    if labels.shape != test.labels.shape or labels.dtype != torch.int64:
        raise PluginError(
            f"expected predict to give {len(test)} int64 labels, got {labels.dtype} "
            f"{tuple(labels.shape)}"
        )
    logits = getattr(system.deployed, "logits", None)
    gap = float((logits(images) - twin).abs().max()) if logits else None
    return Agreement(float((twin.argmax(1) == labels).double().mean()), gap, len(test))


def _stamp(path: Path, root: Path) -> list[Any]:
    name = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
    if not path.exists():
        return [name, None, None]
    status = path.stat()
    return [name, status.st_size, status.st_mtime_ns]


def _write_data(data: Data, folder: Path) -> None:
    from safetensors.torch import save_file

    tensors = {
        f"{name}_{part}": tensor.contiguous()
        for name, split in (("train", data.train), ("test", data.test))
        for part, tensor in (("images", split.images), ("labels", split.labels))
    }
    save_file(tensors, folder / "data.safetensors")
    about = {"classes": data.classes, "threat": asdict(data.threat), "hash": data.hash}
    (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")


def _read_data(folder: Path) -> Data:
    from safetensors.torch import load_file

    tensors = load_file(folder / "data.safetensors")
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    levels = {norm: tuple(eps) for norm, eps in about["threat"]["levels"].items()}
    return Data(
        train=Split(tensors["train_images"], tensors["train_labels"]),
        test=Split(tensors["test_images"], tensors["test_labels"]),
        classes=tuple(about["classes"]),
        threat=UsualThreat(levels, about["threat"]["noise"]),
        hash=about["hash"],
    )
