"""A twin whose dead ends let gradients through: the backward pass approximated, the forward exact.

Backward pass differentiable approximation (Athalye et al., 2018, section 4), found without knowing
the model: functions whose derivative is zero or vanishes are replaced in the backward pass, and a
layer that cuts the graph is bridged by the identity where input and output have one shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from robench.core.system import module_device

LEAK = 0.1
"""Share of the gradient that passes where a clipping or a mask stops it."""


class Straight(nn.Module):
    """Computes what a twin computes; its gradients go through rounding, saturation and cuts."""

    def __init__(self, twin: nn.Module) -> None:
        super().__init__()
        self.twin = twin

    def forward(self, images: Tensor) -> Tensor:
        """Logits of float32 images in [0,1], shape (N, C, H, W)."""
        with _bridged(self.twin, images), _Replaced():
            logits: Tensor = self.twin(images)
        return logits

    def differs(self, images: Tensor) -> bool:
        """Whether anything stands in the gradient's way in this twin: one forward pass."""
        leaf = images.to(module_device(self.twin)).requires_grad_()
        with torch.enable_grad():
            return any(isinstance(node, _MIXED) for node in _graph(self(leaf)))


class _Mixed(torch.autograd.Function):
    """The value of `y`; of its gradient `x` gets the given share, `y` the rest."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, share: float) -> Tensor:
        ctx.share = share
        return y.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, Tensor, None]:
        (gradient,) = gradients
        return gradient * ctx.share, gradient * (1 - ctx.share), None


_MIXED: Any = _Mixed._backward_cls


def _graph(result: Tensor) -> Iterator[Any]:
    """Every node of the graph behind a result."""
    waiting, seen = [result.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node
        waiting += [parent for parent, _ in node.next_functions]


def _through(x: Tensor, y: Tensor) -> Tensor:
    """The value of `y` with the gradient of `x`."""
    result: Tensor = _Mixed.apply(x, y, 1.0)
    return result


def _leaky(x: Tensor, y: Tensor) -> Tensor:
    """The value of `y`; of its gradient LEAK comes from `x`."""
    result: Tensor = _Mixed.apply(x, y, LEAK)
    return result


def _wide(x: Tensor, y: Tensor) -> Tensor:
    """The value of `y` with the gradient 1 / (1 + |x|)^2, which never vanishes."""
    return _through(F.softsign(x), y)


Surrogate = Callable[[Tensor, Tensor], Tensor]

SURROGATES: dict[Any, Surrogate] = {
    **dict.fromkeys(
        (
            *(torch.round, Tensor.round, torch.floor, Tensor.floor, torch.ceil, Tensor.ceil),
            *(torch.trunc, Tensor.trunc, torch.sign, Tensor.sign),
            *(torch.detach, Tensor.detach, torch.softmax, Tensor.softmax, F.softmax),
        ),
        _through,
    ),
    **dict.fromkeys(
        (torch.sigmoid, Tensor.sigmoid, F.sigmoid, torch.tanh, Tensor.tanh, F.tanh), _wide
    ),
    **dict.fromkeys(
        (
            *(torch.clamp, Tensor.clamp, torch.clip, Tensor.clip, F.hardtanh, F.relu6),
            *(torch.mul, Tensor.mul, Tensor.__mul__),
        ),
        _leaky,
    ),
}
"""What stands in for the derivative of a function: of its first argument and its value."""

LEAVING = (Tensor.numpy, Tensor.__array__)
"""Functions that leave torch and refuse tensors with gradients."""


class _Replaced(TorchFunctionMode):
    """Runs torch's functions, their derivatives replaced after SURROGATES."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in LEAVING:  # a detached tensor is not detached here
            args = (args[0].detach(), *args[1:])
        value = func(*args, **(kwargs or {}))
        surrogate = SURROGATES.get(func)
        if surrogate is None or not _differentiable(args, value):
            return value
        # A product is replaced only where it is a mask that cuts values off.
        if func in (torch.mul, Tensor.mul, Tensor.__mul__) and not _masks(args):
            return value
        return surrogate(args[0], value)


def _differentiable(args: Any, value: Any) -> bool:
    first = args[0] if args else None
    return (
        isinstance(first, Tensor)
        and isinstance(value, Tensor)
        and first.requires_grad
        and value.shape == first.shape
        and torch.is_grad_enabled()
    )


def _masks(args: Any) -> bool:
    return isinstance(args[1], Tensor) and args[1].dtype == torch.bool


@contextmanager
def _bridged(twin: nn.Module, images: Tensor) -> Iterator[None]:
    """Join the graph again where a layer, or code before the first layer, has cut it."""

    def before(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        first = args[0] if args else None
        cut = isinstance(first, Tensor) and first.shape == images.shape and not first.requires_grad
        return (_through(images, first), *args[1:]) if cut else None  # type: ignore[arg-type]

    def after(_: nn.Module, args: tuple[Any, ...], value: Any) -> Tensor | None:
        first = args[0] if args else None
        if not isinstance(value, Tensor) or value.requires_grad or not isinstance(first, Tensor):
            return None
        joins = first.requires_grad and first.shape == value.shape
        return _through(first, value) if joins else None

    modules = [module for module in twin.modules() if module is not twin]
    handles = [module.register_forward_pre_hook(before) for module in modules]
    handles += [module.register_forward_hook(after) for module in twin.modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
