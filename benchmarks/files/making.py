"""The networks of the benchmark, and the files that toolchains make of them."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.files import mobilenet
from robench.core.data import Data
from robench.core.system import System
from robench.core.weights import load_weights
from robench.shipped import open_system
from robench_data.resnet20 import ResNet20
from robench_files.openvino_int8 import OpenVINOInt8
from robench_files.ort_int8 import OrtInt8
from robench_files.pt2e_int8 import PT2EInt8
from robench_files.toolchain import Toolchain

TOOL = Path(__file__).resolve().parents[2] / "tools/litert_file.py"
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "resnet20": lambda: ResNet20().build((3, 32, 32), 10),
    "mobilenet": lambda: mobilenet.make((3, 32, 32), 10),
}
TOOLCHAINS: dict[str, Toolchain] = {
    "ort_int8": OrtInt8(),
    "pt2e_int8": PT2EInt8(),
    "openvino_int8": OpenVINOInt8(),
}
CALIBRATED = 512


@dataclass(frozen=True)
class Shipped:
    """One file in one runtime, and the float network that it was made from."""

    network: str
    toolchain: str
    runtime: str
    path: Path
    parent: nn.Module

    def system(self, data: Data) -> System:
        return open_system(
            self.path, shape=data.shape, classes=len(data.classes), runtime=self.runtime
        )


def parent(network: str, weights: Path) -> nn.Module:
    """A trained float network, in eval mode."""
    return load_weights(NETWORKS[network](), weights).eval()


def make(network: str, weights: Path, folder: Path, data: Data, litert: str) -> list[Shipped]:
    """Every file of a network, made where it is not there; LiteRT's where its python is given."""
    folder.mkdir(parents=True, exist_ok=True)
    images = data.train.float_images()[:CALIBRATED]
    found = []
    for name, toolchain in TOOLCHAINS.items():
        path = folder / f"{name}{Path(toolchain.file).suffix}"
        if not path.is_file():
            with tempfile.TemporaryDirectory() as work, torch.no_grad():
                fresh = Path(work) / toolchain.file
                toolchain.write(parent(network, weights), images, fresh)
                path.write_bytes(fresh.read_bytes())
        found.append(Shipped(network, name, toolchain.runtime, path, parent(network, weights)))
    path = folder / "litert_int8.tflite"
    if not path.is_file() and litert:
        litert_file(parent(network, weights), images, path, litert)
    if path.is_file():
        found.append(Shipped(network, "litert_int8", "litert", path, parent(network, weights)))
    # The same file in a runtime that it was not made for.
    other = next(one for one in found if one.toolchain == "ort_int8")
    return [*found, Shipped(network, "ort_int8", "openvino", other.path, other.parent)]


def litert_file(network: nn.Module, images: torch.Tensor, path: Path, python: str) -> None:
    """Make an int8 LiteRT file by `tools/litert_file.py`, which `python`'s environment can run."""
    with tempfile.TemporaryDirectory() as work:
        program, calibration = Path(work) / "float.pt2", Path(work) / "images.npy"
        torch.export.save(torch.export.export(network, (images[:1],)), program)
        np.save(calibration, images.numpy())
        subprocess.run([python, TOOL, program, calibration, path], check=True)
