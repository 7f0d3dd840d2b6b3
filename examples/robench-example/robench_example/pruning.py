"""Magnitude pruning (Han et al., 2015)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import robench

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class MagnitudePruning(robench.Compressor):
    """Set the smallest weights of each layer to zero; ship the others with their places."""

    sparsity: float = 0.5
    """Share of the weights of a layer that become zero, in [0,1)."""

    def __post_init__(self) -> None:
        robench.require(0 <= self.sparsity < 1, f"expected sparsity in [0,1), got {self.sparsity}")

    def finish(self, model: nn.Module, data: robench.Data) -> robench.System:
        """The pruned network, which is its own twin: pruning has gradients."""
        from copy import deepcopy

        del data
        pruned = deepcopy(model).eval()
        for parameter in pruned.parameters():
            if parameter.dim() > 1:
                prune(parameter.data, self.sparsity)
        return robench.System(PrunedDeployed(pruned), pruned)


def prune(weights: Tensor, sparsity: float) -> None:
    """Set the smallest `sparsity` of the weights to zero, in place."""
    count = int(sparsity * weights.numel())
    kept = weights.new_ones(weights.numel())
    kept[weights.abs().flatten().argsort()[:count]] = 0
    # Trained weights may lie in channels-last order, so no view of them is flat.
    weights.mul_(kept.reshape(weights.shape))


class PrunedDeployed(robench.FloatDeployed):
    """A sparse float network; it predicts and saves as a float network does."""

    def nbytes(self) -> int:
        """Four bytes a weight that is left, and one bit a weight for its place."""
        state = self.model.state_dict().values()
        return sum(4 * int((t != 0).sum()) + -(-t.numel() // 8) for t in state)

    def save(self, folder: Path) -> None:
        """Write the values that are left and a bit mask of their places, in safetensors."""
        import numpy as np
        from safetensors.numpy import save_file

        arrays = {}
        for name, tensor in self.model.state_dict().items():
            values = tensor.cpu().numpy()
            arrays[f"{name}.values"] = values[values != 0]
            arrays[f"{name}.mask"] = np.packbits(values.ravel() != 0)
            arrays[f"{name}.shape"] = np.array(values.shape, dtype=np.int64)
        save_file(arrays, folder / "pruned.safetensors")
