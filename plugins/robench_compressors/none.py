"""No compression: the float network is what ships."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import robench

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class NoCompression(robench.Compressor):
    """Ship the float network as it is."""

    def finish(self, model: nn.Module, data: robench.Data) -> robench.System:
        """The network is its own twin."""
        del data
        return robench.System(deployed=robench.FloatDeployed(model), twin=model)
