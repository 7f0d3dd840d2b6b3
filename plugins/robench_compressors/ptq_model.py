"""n-bit weights: their levels, the network that uses them, and their packed form."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from robench import ConfigError, FloatDeployed, weight_layers

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

SHARES = 100
"""Scales that the search of least squared error tries, as shares of the one by the maximum."""


@dataclass(frozen=True)
class Codes:
    """A layer's quantised weights: `levels` int8, shaped as the weights, and `scale`, shaped to
    multiply them."""

    levels: Tensor
    scale: Tensor

    @property
    def weights(self) -> Tensor:
        """The weights that the levels stand for: float32."""
        return self.levels * self.scale


def encode(weights: Tensor, bits: int, per_channel: bool, rule: str) -> Codes:
    """The nearest levels of a layer's weights (out, ...) at n bits; weights of zero stay zero."""
    top = 2 ** (bits - 1) - 1
    rows = weights.detach().flatten(1) if per_channel else weights.detach().reshape(1, -1)
    scale = rows.abs().amax(1, keepdim=True) / top
    # Any scale serves a row of zeros; 1 keeps it free of NaN.
    scale = torch.where(scale > 0, scale, 1.0)
    if rule == "mse":
        scale = _least_error(rows, scale, top)
    levels = _levels(rows, scale, top).view(weights.shape).to(torch.int8)
    return Codes(levels, scale.view(-1, *[1] * (weights.dim() - 1)))


def _levels(rows: Tensor, scale: Tensor, top: int) -> Tensor:
    return (rows / scale).round().clamp(-top, top)


def _least_error(rows: Tensor, largest: Tensor, top: int) -> Tensor:
    """Of SHARES scales up to the one by the maximum, each row's with the least squared error."""
    best, least = largest, torch.full_like(largest, float("inf"))
    for share in range(SHARES, 0, -1):
        scale = largest * (share / SHARES)
        error = (_levels(rows, scale, top) * scale - rows).square().sum(1, keepdim=True)
        best, least = torch.where(error < least, scale, best), torch.minimum(error, least)
    return best


def quantise(
    model: nn.Module, bits: int, per_channel: bool, rule: str
) -> tuple[nn.Module, dict[str, Codes]]:
    """A copy with quantised weights, and its codes by layer; raises ConfigError without layers."""
    quantised = deepcopy(model)
    layers = weight_layers(quantised)
    if not layers:
        raise ConfigError(
            "expected a model with convolutions or linear layers to quantise, got none; "
            "use compressor=none"
        )
    codes = {}
    with torch.no_grad():
        for name, layer in layers.items():
            codes[name] = encode(layer.weight, bits, per_channel, rule)
            layer.weight.copy_(codes[name].weights)
    return quantised, codes


class PackedDeployed(FloatDeployed):
    """A network with quantised weights, shipped with n bits a weight."""

    def __init__(self, model: nn.Module, codes: dict[str, Codes], bits: int) -> None:
        super().__init__(model)
        self.codes = {name: Codes(c.levels.cpu(), c.scale.cpu()) for name, c in codes.items()}
        self.bits = bits

    def nbytes(self) -> int:
        """Bytes of the packed weights, their scales, and all that stays float."""
        return sum(t.numel() * t.element_size() for t in self._shipped().values())

    def save(self, folder: Path) -> None:
        """Write `model.safetensors`: per layer packed levels (uint8) and scales, float the rest."""
        from safetensors.torch import save_file

        save_file(self._shipped(), folder / "model.safetensors", {"bits": str(self.bits)})

    def _shipped(self) -> dict[str, Tensor]:
        floats = {
            name: tensor.contiguous().cpu()
            for name, tensor in self.model.state_dict().items()
            if name.removesuffix(".weight") not in self.codes
        }
        packed = {f"{n}.weight.levels": pack(c.levels, self.bits) for n, c in self.codes.items()}
        scales = {f"{n}.weight.scale": c.scale.flatten() for n, c in self.codes.items()}
        return {**floats, **packed, **scales}


def pack(levels: Tensor, bits: int) -> Tensor:
    """Levels as two's complement n-bit codes, low bits first, without gaps: uint8, flat."""
    import numpy as np

    codes = levels.flatten().numpy().view(np.uint8)
    single = np.unpackbits(codes[:, None], axis=1, bitorder="little")[:, :bits]
    return torch.from_numpy(np.packbits(single, bitorder="little"))


def unpack(packed: Tensor, bits: int, shape: tuple[int, ...]) -> Tensor:
    """The inverse of `pack`: int8 levels of a shape."""
    import numpy as np

    count = torch.Size(shape).numel()
    flat = np.unpackbits(packed.numpy(), count=count * bits, bitorder="little")
    single = flat.reshape(count, bits)
    # Two's complement: the highest of the n bits is repeated up to the eighth.
    full = np.concatenate([single, np.repeat(single[:, -1:], 8 - bits, axis=1)], axis=1)
    levels = np.packbits(full, axis=1, bitorder="little")[:, 0].view(np.int8)
    return torch.from_numpy(levels.copy()).view(shape)
