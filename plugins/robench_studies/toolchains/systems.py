"""The systems of the studies: parents, what toolchains make of them, and how records tell."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from robench.studies import Held, Measure, Variant

if TYPE_CHECKING:
    import robench

PLAIN, TRAINED = "none", "adversarial_training"
DEFENSES = {PLAIN: "plain", TRAINED: "adversarially trained"}
"""How a parent was trained, and in words."""
FLOAT, LITERT = "none", "litert"
MADE = {
    "ort_int8": "ONNX Runtime",
    "pt2e_int8": "torchao PT2E",
    "openvino_int8": "OpenVINO (NNCF)",
    LITERT: "LiteRT",
}
"""Toolchains that start from the parent's own weights."""
AGAIN = {"qat_int8": "qat_int8"}
"""Compressors that train again: another network, beside the same parent."""


@dataclass(frozen=True)
class Setup:
    """One data set's parents, and the threats of its protocol."""

    dataset: str
    model: str
    sizes: tuple[tuple[str, float], ...]
    """Eps in words and in [0,1] pixels, increasing."""

    @property
    def protocol(self) -> str:
        """The protocol of all records."""
        return f"{self.dataset}_linf"

    @property
    def measures(self) -> list[Measure]:
        """Clean accuracy, and what holds at each eps."""
        held = [Held(f"holds, linf {words}", size=eps) for words, eps in self.sizes]
        return [Measure("clean"), *held]

    def variant(self, defense: str, toolchain: str) -> Variant:
        """A parent (toolchain `none`), or what a toolchain made of it."""
        name = {FLOAT: "float"} | MADE | AGAIN
        label = f"{DEFENSES[defense]} / {name[toolchain]}"
        chosen = {"dataset": (self.dataset,), "model": (self.model,)}
        chosen |= {"defense": (defense,), "compressor": (toolchain,)}
        options = {"protocol.name": self.protocol}
        if toolchain == LITERT:
            # Its converter has no room beside ours: a script made the file.
            chosen |= {"model": ("file",), "defense": ("none",), "compressor": ("none",)}
            return FileVariant(label, chosen, options, f"{self.dataset}_{defense}.tflite")
        return Variant(label, chosen, options)


@dataclass(frozen=True)
class FileVariant(Variant):
    """A row for a file that arrives as it ships, told by the file's name."""

    file: str = ""

    def matches(self, record: robench.Record) -> bool:
        """Whether a record is one of the file's."""
        path = record.config.get("model", {}).get("file", {}).get("path", "")
        named = isinstance(path, str) and PurePath(path).name == self.file
        return named and super().matches(record)


MNIST = Setup("mnist", "small_cnn", (("0.1", 0.1), ("0.3", 0.3)))
CIFAR10 = Setup("cifar10", "resnet20", (("2/255", 2 / 255), ("8/255", 8 / 255)))
