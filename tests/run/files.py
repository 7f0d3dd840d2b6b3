"""Toy files that ship: a small network behind an interface that a runtime would have."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from robench.core.data import Data
from robench.core.record import FileInfo
from robench.core.system import BlackBox, System
from robench.plugin.components import Model
from robench.testing.tiny import tiny_network


class Clipped(nn.Module):
    """A network whose logits are rounded to 1/`steps` and end at a ceiling, as 8-bit logits do."""

    def __init__(self, network: nn.Module, ceiling: float, steps: float) -> None:
        super().__init__()
        self.network, self.ceiling, self.steps = network, ceiling, steps

    def forward(self, images: Tensor) -> Tensor:
        logits = self.network(images)
        rounded = logits + ((logits * self.steps).round() / self.steps - logits).detach()
        return rounded.clamp(-self.ceiling, self.ceiling)


class Shipped:
    """What answers for a toy file."""

    randomised = False

    def __init__(self, module: nn.Module, facts: FileInfo, content: bytes) -> None:
        self.module, self.facts, self.content = module.eval(), facts, content

    def logits(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            return self.module(images)

    def predict(self, images: Tensor) -> Tensor:
        return torch.from_numpy(self.logits(images).numpy().argmax(1))

    def nbytes(self) -> int:
        return len(self.content)

    def save(self, folder: Path) -> None:
        (folder / "network.toy").write_bytes(self.content)

    def variants(self) -> Mapping[str, Shipped]:
        return {"again": self}


@dataclass(frozen=True, kw_only=True)
class Parent(Model):
    """The float network that a toy file was made from."""

    pretrained = True

    def build(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        del shape, classes
        return tiny_network()


@dataclass(frozen=True, kw_only=True)
class ToyFile(Model):
    """A toy file: its twin is faithful, another network's (a surrogate), or none (a black box)."""

    pretrained = True

    ceiling: float = 1000.0
    steps: float = 1000.0
    twin: str = "faithful"
    parent: bool = False

    def build(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        raise NotImplementedError

    def system(self, data: Data) -> System:
        del data
        content = repr(self).encode()
        facts = FileInfo(
            format="toy",
            sha256=hashlib.sha256(content).hexdigest(),
            bytes=len(content),
            runtime="toys",
            version="1",
            instructions="any",
            parent="0" * 64 if self.parent else "",
            black_box="operator Wobble is unknown" if self.twin == "none" else "",
        )
        file = Clipped(tiny_network(), self.ceiling, self.steps)
        deployed = Shipped(file, facts, content)
        if self.twin == "none":
            return System(deployed, BlackBox(deployed), black_box=facts.black_box)
        if self.twin == "surrogate":
            return System(deployed, nn.Sequential(Flipped(), tiny_network()))
        return System(deployed, file, {"open_output": tiny_network()})

    def reopen(self, file: Path, data: Data) -> System:
        del file
        return self.system(data)

    @property
    def of_parent(self) -> Model | None:
        return Parent() if self.parent else None


class Flipped(nn.Module):
    """Images nearly as they are, darker: another function than the file's."""

    def forward(self, images: Tensor) -> Tensor:
        return images.roll(1, 2) * 0.5 + images * 0.5
