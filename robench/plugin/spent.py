"""What a search asks of a model, counted in images: gradients, and answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass
class Spent:
    """Images whose gradients and answers a search asked for.

    An answer is one call of the twin or of the deployed model about one image, however many draws
    or networks they are inside; a gradient costs an answer, too.
    """

    gradients: int = 0
    queries: int = 0

    def watch(self, twin: nn.Module) -> nn.Module:
        """The twin, from now on counted, copies of it too, wherever it is called as a module."""
        if isinstance(twin, torch.jit.ScriptModule):  # it takes no hooks
            twin = nn.Sequential(twin)

        # Plain functions: a copy of the twin shares them, where it would copy a method's owner.
        def differentiated(gradient: Tensor) -> None:
            self.gradients += len(gradient)

        def answered(module: nn.Module, given: Any, logits: Any) -> None:
            del module, given
            if isinstance(logits, torch.Tensor) and logits.dim():
                self.queries += len(logits)
                if logits.requires_grad:
                    logits.register_hook(differentiated)

        twin.register_forward_hook(answered)
        return twin
