"""What stands in for a function's derivative where it is zero, vanishes or is somebody's own."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.overrides import TorchFunctionMode

LEAK = 0.1
"""Share of the gradient that passes where a clipping or a mask stops it."""

FEW_WEIGH = 8.0
"""How far, in a softmax's exponent, the last of the few nearest entries lies below the first."""

Surrogate = Callable[[Tensor, Tensor], Tensor]
"""A function's argument and its value -> the value with another gradient."""

_OWNER: Any = next(base for base in Function.__mro__ if "apply" in vars(base))
_APPLY: Any = vars(_OWNER)["apply"]


def _apply(cls: Any, *args: Any, **kwargs: Any) -> Any:
    """What `cls.apply` does, also while it is replaced."""
    return _APPLY.__get__(None, cls)(*args, **kwargs)


class _Mixed(Function):
    """The value of `y`; of its gradient `x` gets the given share, `y` the rest."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, share: float) -> Tensor:
        ctx.share, ctx.kind = share, x.dtype
        return y.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, Tensor, None]:
        (gradient,) = gradients
        return (gradient * ctx.share).to(ctx.kind), gradient * (1 - ctx.share), None


def _mixed(x: Tensor, y: Tensor, share: float) -> Tensor:
    # Not `_Mixed.apply`, which is replaced with all others while a twin runs.
    result: Tensor = _apply(_Mixed, x, y, share)
    return result


def through(x: Tensor, y: Tensor) -> Tensor:
    """The value of `y` with the gradient of `x`."""
    return _mixed(x, y, 1.0)


def _leaky(x: Tensor, y: Tensor) -> Tensor:
    """The value of `y`; of its gradient LEAK comes from `x`."""
    return _mixed(x, y, LEAK)


def _wide(x: Tensor, y: Tensor) -> Tensor:
    """The value of `y` with the gradient 1 / (1 + |x|)^2, which never vanishes."""
    return through(F.softsign(x), y)


_DATA: Any = Tensor.data
_PRODUCTS = (torch.mul, Tensor.mul, Tensor.__mul__, Tensor.__rmul__)

SURROGATES: dict[Any, Surrogate] = {
    **dict.fromkeys(
        (
            *(torch.round, Tensor.round, torch.floor, Tensor.floor, torch.ceil, Tensor.ceil),
            *(torch.trunc, Tensor.trunc, torch.sign, Tensor.sign, torch.heaviside),
            *(torch.detach, Tensor.detach, _DATA.__get__),
            *(torch.exp, Tensor.exp, torch.log, Tensor.log),
        ),
        through,
    ),
    **dict.fromkeys(
        (
            *(torch.sigmoid, Tensor.sigmoid, F.sigmoid, torch.tanh, Tensor.tanh, F.tanh),
            *(torch.erf, Tensor.erf),
        ),
        _wide,
    ),
    **dict.fromkeys(
        (
            *(torch.clamp, Tensor.clamp, torch.clip, Tensor.clip, F.hardtanh, F.relu6),
            *(torch.clamp_min, Tensor.clamp_min, torch.clamp_max, Tensor.clamp_max),
            *(torch.minimum, Tensor.minimum, torch.maximum, Tensor.maximum),
            *(torch.min, Tensor.min, torch.max, Tensor.max),
            *(*_PRODUCTS, torch.where, Tensor.where),
        ),
        _leaky,
    ),
}
"""What stands in for the derivative of a function, of its arguments of the value's shape."""

SOFTMAXES = (torch.softmax, Tensor.softmax, F.softmax)
"""Functions whose derivative vanishes where one entry is far above the others."""

LEAVING = (Tensor.numpy, Tensor.__array__)
"""Functions that leave torch and refuse tensors with gradients."""

COMPARING: dict[Any, float] = {
    **dict.fromkeys((torch.gt, Tensor.gt, Tensor.__gt__, torch.ge, Tensor.ge, Tensor.__ge__), 1.0),
    **dict.fromkeys((torch.lt, Tensor.lt, Tensor.__lt__, torch.le, Tensor.le, Tensor.__le__), -1.0),
}
"""Comparisons, and the sign with which their answer follows the first argument."""

CASTING = (Tensor.to, Tensor.type, Tensor.int, Tensor.long, Tensor.short, Tensor.byte, Tensor.char)
"""Functions that may make integers of floats."""

_STANDS_FOR = "_robench_stands_for"
_CHOSEN_FROM = "_robench_chosen_from"


class Replaced(TorchFunctionMode):
    """Runs torch's functions, their derivatives replaced after SURROGATES.

    With a `boldness` of 2 what compares, casts or chooses gives floats in place of booleans and
    integers, so that a gradient passes; where a function refuses these it gets what it expects.
    Custom autograd functions run forward under autograd, so that the derivative is their own.
    """

    def __init__(self, boldness: int) -> None:
        super().__init__()
        self.boldness = boldness
        self.changed = False
        """Whether anything was replaced."""
        self.touched = False
        """Whether a layer was reached."""

    def __enter__(self) -> Replaced:
        """Replace the custom functions' door, too."""
        mode = self

        def apply(cls: Any, *args: Any, **kwargs: Any) -> Any:
            return mode.own_function(cls, args, kwargs)

        _OWNER.apply = classmethod(apply)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        """Put it back."""
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        _OWNER.apply = _APPLY

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch._C._set_grad_enabled:
            self.changed |= not args[0]
            return None  # the graph goes on where `no_grad` would end it
        if func in LEAVING:  # a detached tensor is not detached here
            args = (args[0].detach(), *args[1:])
        value = self._called(func, args, kwargs)
        if func in SOFTMAXES and args and _differentiable(args[0], value):
            self.changed = True
            return through(_tempered(func, args, kwargs), value)
        if self.boldness > 1 and (bold := self._bold(func, args, kwargs, value)) is not None:
            self.changed = True
            return bold
        surrogate = SURROGATES.get(func)
        # A product is replaced only where it is a mask that cuts values off.
        if surrogate is None or (func in _PRODUCTS and not any(map(_boolean, args))):
            return value
        for x in args:
            if _differentiable(x, value) and _stands_for(x) is None:
                value, self.changed = surrogate(x, value), True
                if surrogate is not _leaky:
                    break
        return value

    def _called(self, func: Any, args: Any, kwargs: Any) -> Any:
        stands = any(_stands_for(x) is not None for x in args)
        if not stands:
            return func(*args, **kwargs)
        if func in (torch.where,) and _stands_for(args[0]) is not None:
            return _weighed(*args)
        try:
            return func(*args, **kwargs)
        except (RuntimeError, TypeError, IndexError):
            return func(*(_expected(x) for x in args), **kwargs)

    def _bold(self, func: Any, args: Any, kwargs: Any, value: Any) -> Tensor | None:
        """What a comparison, a cast or a choice gives in place of numbers without a gradient."""
        first = args[0] if args else None
        if func in COMPARING and isinstance(value, Tensor):
            gap = _gap(args[0], args[1], value)
            if gap is None:
                return None
            return _standing(_wide(COMPARING[func] * gap, value.to(gap.dtype)), torch.bool)
        if not isinstance(first, Tensor) or not isinstance(value, Tensor):
            return None
        if func in (torch.argmax, Tensor.argmax) and _is_float(first):
            setattr(value, _CHOSEN_FROM, first)
            return None
        if func is F.one_hot and getattr(first, _CHOSEN_FROM, None) is not None:
            source = getattr(first, _CHOSEN_FROM)
            if source.shape != value.shape:
                return None
            return _standing(through(source, value.to(source.dtype)), value.dtype)
        if func in CASTING and _is_float(first) and not value.is_floating_point():
            return _standing(through(first, value.to(first.dtype)), value.dtype)
        return None

    def own_function(self, cls: Any, args: Any, kwargs: Any) -> Any:
        """The value of a custom autograd function, its derivative that of what it computes."""
        inputs = [x for x in args if isinstance(x, Tensor) and x.requires_grad]
        if inputs and torch.is_grad_enabled():
            try:
                value = _rerun(cls, args, kwargs)
            except Exception:  # foreign code may need the real context
                value = None
            if isinstance(value, Tensor):
                if not value.requires_grad and value.shape == inputs[0].shape:
                    value = through(inputs[0], value)
                if value.requires_grad:
                    self.changed = True
                    return value
        return _apply(cls, *args, **kwargs)

    def door(self, value: Any) -> Callable[..., Any] | None:
        """For a custom function's `apply`, kept by somebody, what stands in for it."""
        owner = getattr(value, "__self__", None)
        kept = isinstance(owner, type) and issubclass(owner, Function) and callable(value)
        if not kept or getattr(value, "__name__", "") != "apply":
            return None
        return lambda *args, **kwargs: self.own_function(owner, args, kwargs)


def _rerun(cls: Any, args: Any, kwargs: Any) -> Any:
    nothing = lambda *_, **__: None  # noqa: E731
    context = SimpleNamespace(
        needs_input_grad=tuple(isinstance(x, Tensor) and x.requires_grad for x in args),
        save_for_backward=nothing,
        save_for_forward=nothing,
        mark_dirty=nothing,
        mark_non_differentiable=nothing,
        set_materialize_grads=nothing,
    )
    apart = cls.setup_context is not Function.setup_context
    return cls.forward(*args, **kwargs) if apart else cls.forward(context, *args, **kwargs)


def _tempered(func: Any, args: Any, kwargs: Any) -> Tensor:
    """The same softmax of scores divided so that the nearest few of all entries count.

    The sqrt(n)-th of n entries then weighs 1/e^FEW_WEIGH of the largest: of classes the next best
    ones, of a memory the nearest neighbours.
    """
    x, *rest = args
    dim = kwargs.get("dim", rest[0] if rest else None)
    dim = -1 if dim is None else dim
    with torch.no_grad():
        few = min(math.isqrt(x.shape[dim]) + 1, x.shape[dim])
        top = x.topk(few, dim).values
        gap = top.amax(dim, keepdim=True) - top.amin(dim, keepdim=True)
        scale = (gap / FEW_WEIGH).nan_to_num().clamp_min(1.0)
    result: Tensor = func(x / scale, *rest, **kwargs) * scale
    return result


def _is_float(x: Any) -> bool:
    return isinstance(x, Tensor) and x.is_floating_point() and x.requires_grad


def _differentiable(x: Any, value: Any) -> bool:
    return (
        _is_float(x)
        and isinstance(value, Tensor)
        and value.is_floating_point()
        and value.shape == x.shape
        and torch.is_grad_enabled()
    )


def _boolean(x: Any) -> bool:
    return isinstance(x, Tensor) and (x.dtype == torch.bool or _stands_for(x) == torch.bool)


def _gap(a: Any, b: Any, value: Tensor) -> Tensor | None:
    """The difference that a comparison asks the sign of; None where it has no gradient."""
    if not (_is_float(a) or _is_float(b)):
        return None
    gap: Tensor = a - b
    return gap if gap.is_floating_point() and gap.shape == value.shape else None


def _standing(value: Tensor, kind: torch.dtype) -> Tensor:
    """Mark floats that stand for numbers of another kind."""
    setattr(value, _STANDS_FOR, kind)
    return value


def _stands_for(x: Any) -> torch.dtype | None:
    return getattr(x, _STANDS_FOR, None) if isinstance(x, Tensor) else None


def _expected(x: Any) -> Any:
    kind = _stands_for(x)
    return x if kind is None else x.detach().to(kind)


def _weighed(chosen: Tensor, a: Any, b: Any) -> Tensor:
    """`torch.where` as a sum, through which the condition has a gradient too."""
    exact = torch.where(_expected(chosen), a, b)
    if not exact.is_floating_point():
        return exact
    with torch.no_grad():
        slope = torch.as_tensor(a).detach() - torch.as_tensor(b).detach()
    following = chosen * slope
    return exact + following - following.detach()
