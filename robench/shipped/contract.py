"""What a file's network takes and gives: the first thing that goes wrong with a foreign file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from robench.base.errors import ConfigError

if TYPE_CHECKING:
    from robench.core.session import Port

LAYOUTS = ("NCHW", "NHWC")
SCALES = ("unit", "byte", "int8")
"""Pixels in [0,1], in 0..255, or in -128..127 as signed bytes hold them."""
OUTPUTS = ("logits", "probabilities")
WIDE = 100.0
"""A quantised port that reaches so far holds bytes, not numbers near [0,1]."""


@dataclass(frozen=True, kw_only=True)
class Contract:
    """How images in [0,1], (N, C, H, W), become a file's input, and its output logits.

    Raises ConfigError for words or numbers that are none.
    """

    layout: str = "NCHW"
    """NCHW or NHWC."""
    scale: str = "unit"
    """unit (pixels in [0,1]), byte (0 to 255) or int8 (-128 to 127)."""
    mean: tuple[float, ...] = ()
    """Subtracted from each channel, in the units of `scale`; none given: the file normalises."""
    std: tuple[float, ...] = ()
    """What each channel is then divided by."""
    outputs: str = "logits"
    """logits, or probabilities: the file ends in a softmax."""
    order: tuple[int, ...] = ()
    """For each class of the data set, its position among the file's outputs; none given: the
    same."""

    def __post_init__(self) -> None:
        for name, known in (("layout", LAYOUTS), ("scale", SCALES), ("outputs", OUTPUTS)):
            if getattr(self, name) not in known:
                raise ConfigError(
                    f"expected {name} to be {' or '.join(known)}, got {getattr(self, name)!r:.80}"
                )
        if len(self.mean) != len(self.std) or not all(one > 0 for one in self.std):
            raise ConfigError(
                f"expected as many std above 0 as mean, got mean={list(self.mean)} and "
                f"std={list(self.std)}"
            )
        if len(set(self.order)) != len(self.order) or min(self.order, default=0) < 0:
            raise ConfigError(
                f"expected order to name different positions from 0, got {list(self.order)}"
            )

    @property
    def words(self) -> str:
        """How it reads images, in words."""
        normalised = ", normalised outside" if self.mean else ""
        return f"layout {self.layout}, scale {self.scale}{normalised}"

    def fed(self, images: Tensor) -> Tensor:
        """The input tensor of images: gradients pass."""
        fed = images if self.scale == "unit" else images * 255
        fed = fed - 128 if self.scale == "int8" else fed
        if self.mean:
            mean, std = (fed.new_tensor(one).view(1, -1, 1, 1) for one in (self.mean, self.std))
            fed = (fed - mean) / std
        return fed.permute(0, 2, 3, 1) if self.layout == "NHWC" else fed

    def logits(self, answers: Tensor) -> Tensor:
        """Logits (N, classes) of the file's output: gradients pass."""
        flat = answers.flatten(1)
        if self.order:
            flat = flat[:, list(self.order)]
        if self.outputs == "logits":
            return flat
        return flat.clamp_min(torch.finfo(flat.dtype).tiny).log()


def usual_contract(port: Port, shape: tuple[int, int, int], **stated: Any) -> Contract:
    """The contract of a file's input for images (C, H, W), as far as nothing is stated.

    The layout is the one that the port's shape fits, the scale what its numbers hold. Raises
    ConfigError for a port that fits no layout.
    """
    contract = Contract(**{"scale": _scale(port), **stated})
    if "layout" not in stated:
        choices = [replace(contract, layout=layout) for layout in LAYOUTS]
        contract = next((one for one in choices if fits(one, port, shape)), contract)
    _require_fitting(contract, port, shape)
    return contract


def fits(contract: Contract, port: Port, shape: tuple[int, int, int]) -> bool:
    """Whether an input takes images (C, H, W) in a contract's layout."""
    there, wanted = port.shape[1:], arranged(shape, contract.layout)
    pairs = zip(there, wanted, strict=False)
    return len(there) == len(wanted) and all(one in (None, size) for one, size in pairs)


def _scale(port: Port) -> str:
    if port.scale is None:
        return {"uint8": "byte", "int8": "int8"}.get(port.dtype, "unit")
    return "byte" if 255 * port.scale > WIDE else "unit"


def _require_fitting(contract: Contract, port: Port, shape: tuple[int, int, int]) -> None:
    if not fits(contract, port, shape):
        wanted = _times((None, *arranged(shape, contract.layout)))
        raise ConfigError(
            f"expected an input of shape {wanted} ({contract.layout}) for images of "
            f"{_times(shape)}, got {port.name!r} of {_times(port.shape)}; export the file for "
            "them, or choose the data set that it was made for"
        )
    if len(contract.mean) not in (0, 1, shape[0]):
        raise ConfigError(
            f"expected one mean and std for each of {shape[0]} channels, got {len(contract.mean)}"
        )


def arranged(shape: tuple[int, int, int], layout: str) -> tuple[int, int, int]:
    """The shape of one image (C, H, W) in a layout."""
    channels, height, width = shape
    return shape if layout == "NCHW" else (height, width, channels)


def _times(shape: tuple[int | None, ...]) -> str:
    return "x".join("?" if one is None else str(one) for one in shape) or "no stated shape"
