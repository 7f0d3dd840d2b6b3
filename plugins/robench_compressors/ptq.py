"""Post-training quantization of weights to n bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import robench

if TYPE_CHECKING:
    from torch import nn

SCALES = ("max", "mse")


@dataclass(frozen=True, kw_only=True)
class PTQ(robench.Compressor):
    """Symmetric n-bit weights of all convolutions and linear layers; the rest stays float32.

    Levels are -(2^(n-1) - 1) ... 2^(n-1) - 1 times a scale. Batch norm is not folded. Only weights
    are rounded, so the quantised network has true gradients and is its own twin.
    """

    bits: int = 3  # type: ignore[misc]
    """Bits of a weight, 2 to 8."""
    per_channel: bool = False
    """One scale for each output channel; else one for each layer."""
    scale: str = "max"
    """max: the largest weight is the largest level; mse: the scale of least squared error."""

    def __post_init__(self) -> None:
        robench.require(2 <= self.bits <= 8, f"expected bits between 2 and 8, got {self.bits}")
        robench.require(
            self.scale in SCALES, f"expected scale to be max or mse, got {self.scale!r}"
        )

    def finish(self, model: nn.Module, data: robench.Data) -> robench.System:
        """Quantise a copy; raises ConfigError for a model without weights."""
        del data
        from robench_compressors.ptq_model import PackedDeployed, quantise

        quantised, codes = quantise(model, self.bits, self.per_channel, self.scale)
        return robench.System(PackedDeployed(quantised, codes, self.bits), quantised)
