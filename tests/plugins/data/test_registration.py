from __future__ import annotations

import subprocess
import sys

import robench_data
from robench.plugin.components import Component

CHOICES = {
    "dataset": ["caltech101", "cifar10", "digits", "image_folder", "imagenet", "mnist", "npz"],
    "model": [
        "checkpoint",
        "cnn4",
        "python",
        "resnet20",
        "resnet9",
        "robustbench",
        "small_cnn",
        "torchvision",
        "wide_resnet32",
    ],
}


def test_every_choice_is_registered() -> None:
    found: dict[str, list[str]] = {"dataset": [], "model": []}

    def register(kind: str, name: str, component: type[Component] | Component) -> None:
        found[kind].append(name)

    robench_data.robench_register(register)
    assert {kind: sorted(names) for kind, names in found.items()} == CHOICES


def test_importing_the_plugin_imports_nothing_heavy() -> None:
    heavy = ["torch", "torchvision", "sklearn", "numpy", "PIL"]
    code = f"import robench_data, sys; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
