"""Torchvision's classifiers behind their normalisation, and their published weights."""

from __future__ import annotations

import difflib
import sys
from contextlib import redirect_stdout
from http.client import HTTPException
from textwrap import shorten
from typing import cast

import torchvision
from torch import Tensor, nn

from robench import ConfigError, UserError
from robench_data.networks.layers import Normalize

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's training images in [0,1], red, green, blue."""
AUXILIARY = {"googlenet", "inception_v3"}
"""Classifiers that return further outputs while training."""


class Repeat(nn.Module):
    """Repeat grey images to three channels."""

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 1, H, W) to (N, 3, H, W)."""
        return images.expand(-1, 3, -1, -1)


def classifier(name: str, channels: int, classes: int) -> nn.Sequential:
    """An untrained classifier: layers `normalize` and `network`; raises ConfigError."""
    known = sorted(set(torchvision.models.list_models(module=torchvision.models)) - AUXILIARY)
    if name not in known:
        near = difflib.get_close_matches(name, known, 3) or known[:3]
        raise ConfigError(
            f"expected a classifier of torchvision with one output, got {name!r}; "
            f"choose for example {', '.join(near)}"
        )
    if channels not in (1, 3):
        raise ConfigError(f"expected images of 1 or 3 channels for {name}, got {channels}")
    whole = nn.Sequential()
    if channels == 1:
        whole.add_module("repeat", Repeat())
    whole.add_module("normalize", Normalize(MEAN, STD))
    whole.add_module("network", torchvision.models.get_model(name, num_classes=classes))
    for module in whole.modules():
        if "inplace" in vars(module):  # hooks and tracers want every activation kept
            vars(module)["inplace"] = False
    return whole


def imagenet_tensors(name: str) -> dict[str, Tensor]:
    """The published ImageNet weights, checksum verified; raises UserError without a network."""
    weights = torchvision.models.get_model_weights(name).DEFAULT
    try:
        with redirect_stdout(sys.stderr):
            state = weights.get_state_dict(check_hash=True, weights_only=True)
    except (OSError, RuntimeError, HTTPException) as error:
        raise UserError(
            f"expected ImageNet weights of {name} from {weights.url}, got no download "
            f"({shorten(str(error), 160, placeholder=' ...')}); fetch the file elsewhere and set "
            "model.torchvision.weights=FILE"
        ) from error
    return cast(dict[str, Tensor], state)
