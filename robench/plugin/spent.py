"""What a search asks of a model, counted in images: gradients, and answers."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
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
    counted: bool = True
    """Whether the twin's calls can be counted: what torch.jit.trace made of it asks unseen."""

    def watch(self, twin: nn.Module) -> nn.Module:
        """The twin, from now on counted, copies too: `twin(x)` and `twin.forward(x)` once each.

        What goes around its `forward` is not counted: its children called one by one, its weights,
        what torch.jit or torch.fx made of it. Of torch.jit.trace, which asks once to begin with,
        `counted` says so.
        """
        if isinstance(twin, torch.jit.ScriptModule):  # its forward cannot be replaced
            twin = nn.Sequential(twin)
        twin.forward = _Counted(twin.forward, self)
        return twin


@dataclass(frozen=True, eq=False)
class _Counted:
    """A module's bound `forward`, counted; of a copied module, the copy's."""

    forward: Callable[..., Any]
    spent: Spent

    def __call__(self, *given: Any, **named: Any) -> Any:
        logits = self.forward(*given, **named)
        if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            self.spent.counted = False
            return logits
        if isinstance(logits, torch.Tensor) and logits.dim():
            self.spent.queries += len(logits)
            if logits.requires_grad:
                logits.register_hook(self._differentiated)
        return logits

    def _differentiated(self, gradient: Tensor) -> None:
        self.spent.gradients += len(gradient)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Counted:
        return _Counted(deepcopy(self.forward, memo), self.spent)
