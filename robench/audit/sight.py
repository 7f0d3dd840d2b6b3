"""Whether all that a network's code could keep lies where a look at its objects finds it.

Whatever is not known is out of sight: code passes that reads attributes, calls functions of torch
and Python that are listed here, and writes to locals, tensors, arrays and collections alone, and
objects that hold nothing but such. A library that was changed from outside (an operator in C, a
thread) is beyond this.
"""

from __future__ import annotations

import builtins
import copyreg
import math
import sys
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterator
from dis import Instruction, get_instructions
from functools import cached_property
from inspect import CO_GENERATOR
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    GeneratorType,
    GetSetDescriptorType,
    MappingProxyType,
    MethodType,
    ModuleType,
)
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction, Function, FunctionMeta

from robench.audit.reach import ABSENT, PLAIN, Reach, is_known, is_ours, of_library

OPERATIONS = frozenset(
    """
    abs acos add addcdiv addcmul addmm all amax amin aminmax any argmax argmin argsort asin atan
    atan2 allclose baddbmm bernoulli bilinear bincount bitwise_and bitwise_not bitwise_or bitwise_xor bmm
    broadcast_to bucketize cat cdist ceil chunk clamp clamp_max clamp_min clip clone concat
    contiguous conv1d conv2d count conv_transpose2d cos cosh cosine_similarity count_nonzero cross_entropy
    cummax cumprod cumsum detach diag diagonal diff dim div dot dropout dropout1d dropout2d einsum
    elu equal embedding eq erf erfc erfinv exp exp2 expand expand_as expm1 flatten flip floor floor_divide
    fmod fold frac full_like gather ge greater greater_equal gelu glu grid_sample group_norm gt gumbel_softmax hardshrink
    hardsigmoid hardswish hardtanh heaviside histc index index_select isclose interpolate is_floating_point isfinite
    isinf isnan item kthvalue layer_norm le less less_equal leaky_relu lerp linear log log10 log1p log2 log_softmax
    logaddexp logical_and logical_not logical_or logical_xor logit logsigmoid logsumexp lt
    masked_fill masked_select matmul max maximum mean median meshgrid min minimum mish mm mode
    mse_loss mul multinomial mv nan_to_num narrow ne not_equal neg negative nll_loss nonzero norm normal
    normalize numel one_hot ones_like outer pad pairwise_distance permute pixel_shuffle
    pixel_unshuffle poisson pow prod quantile rand_like randint_like randn_like reciprocal relu relu6
    remainder repeat repeat_interleave reshape roll rot90 round rsqrt scatter scatter_add searchsorted
    select selu sgn sigmoid sign silu sin sinh size softmax softmin softplus softshrink softsign sort
    split sqrt square squeeze stack std std_mean sub sum swapaxes t take take_along_dim tan tanh
    tanhshrink threshold tile tolist topk transpose tril triu trunc unbind unflatten unfold unique
    unsqueeze upsample var var_mean vector_norm view view_as where zeros_like
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_max_pool2d affine_grid avg_pool1d avg_pool2d
    lp_pool2d max_pool1d max_pool2d
    arange as_tensor eye full linspace logspace ones rand randint randn randperm tensor zeros
    fft fft2 fftn fftshift ifft ifft2 ifftn ifftshift irfft irfft2 rfft rfft2
    bfloat16 bool double float half int long to type_as
    new_full new_ones new_tensor new_zeros
    is_grad_enabled no_grad enable_grad
    """.split()
)
"""Functions of torch and methods of tensors that keep nothing, by any name that they go by.

Those that leave memory as they find it (`empty`) may find what was there before.
"""
ATTRIBUTES = OPERATIONS | {
    *("H", "T", "mT", "device", "dtype", "imag", "indices", "is_leaf", "ndim", "real"),
    *("requires_grad", "shape", "training", "values"),
    *("append", "extend", "get", "items", "keys"),
    *("apply", "mark_non_differentiable", "needs_input_grad", "save_for_backward", "saved_tensors"),
    *("children", "forward"),
}
"""Attributes of what libraries make that may be read and called: what they change is looked at."""
BUILTINS = (
    *(abs, all, any, bool, dict, divmod, enumerate, float, int, len, list, map, max, min, pow, range),
    *(reversed, round, set, slice, sorted, sum, super, tuple, zip),
    *(AssertionError, NotImplementedError, RuntimeError, TypeError, ValueError),
)
MODULES = (torch, nn, F, math, torch.fft, torch.linalg, torch.autograd)
LISTED = {
    *map(id, (*BUILTINS, torch.autograd.grad)),
    *(id(one) for one in vars(math).values() if callable(one)),
    *(
        id(vars(space)[name])
        for space in (torch, F, torch.fft, torch.linalg)
        for name in OPERATIONS & vars(space).keys()
        if callable(vars(space)[name])
    ),
}
"""Functions that keep nothing, by identity: another one may stand by the same name."""
STEPS = frozenset(
    """
    RESUME CACHE NOP EXTENDED_ARG POP_TOP PUSH_NULL COPY SWAP PRECALL CALL CALL_FUNCTION_EX KW_NAMES
    CALL_KW NOT_TAKEN END_FOR POP_ITER TO_BOOL RETURN_VALUE RETURN_CONST RETURN_GENERATOR YIELD_VALUE
    LOAD_CONST LOAD_SMALL_INT LOAD_FAST LOAD_FAST_CHECK LOAD_FAST_AND_CLEAR LOAD_FAST_LOAD_FAST
    LOAD_FAST_BORROW LOAD_FAST_BORROW_LOAD_FAST_BORROW STORE_FAST STORE_FAST_LOAD_FAST
    STORE_FAST_STORE_FAST DELETE_FAST LOAD_CLOSURE LOAD_DEREF STORE_DEREF MAKE_CELL COPY_FREE_VARS
    MAKE_FUNCTION SET_FUNCTION_ATTRIBUTE LOAD_GLOBAL LOAD_ATTR LOAD_METHOD LOAD_SUPER_ATTR
    BINARY_OP BINARY_SUBSCR BINARY_SLICE STORE_SUBSCR STORE_SLICE COMPARE_OP CONTAINS_OP IS_OP
    UNARY_NEGATIVE UNARY_NOT UNARY_INVERT UNARY_POSITIVE CALL_INTRINSIC_1
    BUILD_TUPLE BUILD_LIST BUILD_SET BUILD_MAP BUILD_CONST_KEY_MAP BUILD_SLICE LIST_APPEND LIST_EXTEND
    LIST_TO_TUPLE SET_ADD SET_UPDATE MAP_ADD DICT_UPDATE DICT_MERGE UNPACK_SEQUENCE UNPACK_EX
    GET_ITER FOR_ITER JUMP_FORWARD JUMP_BACKWARD JUMP_BACKWARD_NO_INTERRUPT JUMP_IF_FALSE_OR_POP
    JUMP_IF_TRUE_OR_POP POP_JUMP_FORWARD_IF_FALSE POP_JUMP_FORWARD_IF_TRUE POP_JUMP_FORWARD_IF_NONE
    POP_JUMP_FORWARD_IF_NOT_NONE POP_JUMP_BACKWARD_IF_FALSE POP_JUMP_BACKWARD_IF_TRUE
    POP_JUMP_BACKWARD_IF_NONE POP_JUMP_BACKWARD_IF_NOT_NONE POP_JUMP_IF_FALSE POP_JUMP_IF_TRUE
    POP_JUMP_IF_NONE POP_JUMP_IF_NOT_NONE
    BEFORE_WITH LOAD_SPECIAL WITH_EXCEPT_START PUSH_EXC_INFO POP_EXCEPT RERAISE
    LOAD_ASSERTION_ERROR LOAD_COMMON_CONSTANT RAISE_VARARGS
    """.split()
)
"""What bytecode may do: no attribute, global or class is made, nothing imported or matched."""
READS = {"LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR"}
CELLS: dict[str, Callable[[CodeType], tuple[str, ...]]] = {
    "STORE_DEREF": lambda code: code.co_freevars,
    "LOAD_DEREF": lambda code: ("__class__",),
}
"""By step, the cells that it may not meet: others' are no place to write, and a class makes objects."""
HOOKS = [name for name in vars(nn.modules.module) if name.startswith("_global_") and name.endswith("_hooks")]
COLLECTIONS = {dict, OrderedDict, list, tuple, set, frozenset, deque, MappingProxyType}
WRAPPED = {property, staticmethod, MethodType}
"""What is looked at with what it wraps."""
MADE = (
    *(Tensor, nn.Module, nn.Parameter, np.ndarray, BackwardCFunction, Function, FunctionMeta),
    *(*COLLECTIONS, *WRAPPED, str, bytes, BaseException),
    *(FunctionType, BuiltinFunctionType, GeneratorType, ModuleType),
)
KINDS = {base for kind in MADE for base in kind.__mro__}
"""Kinds of what foreign code may meet that is nobody's own."""
THEIRS = frozenset(name for kind in MADE for name in dir(kind)) - ATTRIBUTES
"""Attributes of such that may keep something, or lead to it."""
SPECIAL = {"__call__", "__getitem__", "__init__", "__iter__", "__len__", "__repr__"}
"""Methods with special names that a class may have; `__init__` ran before any question."""
DATA = {"__annotations__", "__doc__", "__firstlineno__", "__module__", "__static_attributes__"}
"""What Python writes into a class, and no listed code can read."""


def in_sight(reach: Reach) -> bool:
    """Whether the foreign code among what was reached keeps nothing that `reach.marks` miss."""
    try:
        return reach.whole and _is_library_whole() and _Look(reach.things).is_plain()
    except Exception:  # a foreign object may raise anything when it is looked at
        return False


class _Look:
    """The things that were met, their classes, and the names by which they hold others."""

    def __init__(self, things: Collection[Any]) -> None:
        self._things = things
        self._met = set(map(id, things))
        classes = {base for one in things for base in _class_of(one).__mro__}
        self._own = {cls for cls in classes if not of_library(cls.__module__)}
        self._theirs = classes - self._own

    def is_plain(self) -> bool:
        """Whether all of them are known to keep what they keep where it is seen."""
        return (
            all(map(_is_plain_class, self._own))
            and all(map(_is_trusted, self._theirs))
            and all(map(self._is_plain, self._things))
        )

    @cached_property
    def _held(self) -> set[str]:
        held = {name for thing in self._things for name in _names(thing)}
        held |= {name for cls in self._own for name in vars(cls)}
        return held - THEIRS.union(*map(vars, self._theirs))

    def _is_plain(self, thing: Any) -> bool:
        kind = type(thing)
        # Of a class its methods are met by themselves, of a module what code reads counts.
        if isinstance(thing, type | ModuleType) or kind in WRAPPED or id(thing) in LISTED:
            return True
        if kind is FunctionType:
            return self._is_plain_function(thing)
        if issubclass(kind, Tensor | np.ndarray):
            return _is_plain_array(thing)
        if kind in COLLECTIONS:
            return not any(map(_is_space, _held_by(thing)))
        named = getattr(thing, "__dict__", None)
        hides = issubclass(kind, Function | BaseException)
        return type(named) is dict and not hides and not any(map(_is_space, named.values()))

    # -- code --------------------------------------------------------------------------------------

    def _is_plain_function(self, function: FunctionType) -> bool:
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        return (
            not of_library(function.__module__)
            and not vars(function)
            and type(function.__globals__) is dict
            and function.__builtins__ is vars(builtins)
            and not any(name != "__class__" and _is_space(_content(cell)) for name, cell in cells)
            and self._is_plain_code(function.__code__, function)
        )

    def _is_plain_code(self, code: CodeType, function: FunctionType) -> bool:
        steps = list(get_instructions(code))
        # A generator that is left in the middle ends its block whenever it is collected.
        paused = code.co_flags & CO_GENERATOR and any(one.opname == "BEFORE_WITH" for one in steps)
        return (
            not paused
            and self._keeps_nothing(steps, code, function)
            and all(
                self._is_plain_code(one, function)
                for one in code.co_consts
                if isinstance(one, CodeType)
            )
        )

    def _keeps_nothing(
        self, steps: list[Instruction], code: CodeType, function: FunctionType
    ) -> bool:
        space: Any = None
        for step in steps:
            read = step.opname in READS
            # Of a module or a class something is read at once: it is handed to nobody.
            if step.opname not in STEPS or (space and (not read or step.is_jump_target)):
                return False
            if step.opname in CELLS and step.argval in CELLS[step.opname](code):
                return False
            value: Any = None
            if type(space) is ModuleType:
                value = vars(space).get(step.argval, ABSENT)
            elif read and not self._may_read(step.argval):
                return False
            elif step.opname == "LOAD_GLOBAL":
                value = _global(function, step.argval)
            if not self._may_meet(value):
                return False
            space = value if _is_space(value) else None
        return space is None

    def _may_read(self, name: str) -> bool:
        return name in ATTRIBUTES or (name in self._held and not name.startswith("__"))

    def _may_meet(self, value: Any) -> bool:
        if type(value) in PLAIN or id(value) in LISTED:
            return True
        if _is_space(value):
            return value in MODULES or value in self._own
        return id(value) in self._met


def _class_of(thing: Any) -> type:
    return thing if isinstance(thing, type) else type(thing)


def _is_space(value: Any) -> bool:
    """Whether it is a module, or a class that makes objects: both lead to what nobody looks at."""
    return isinstance(value, type | ModuleType) and id(value) not in LISTED


def _held_by(thing: Any) -> Iterator[Any]:
    yield from thing
    if isinstance(thing, dict | MappingProxyType):
        yield from thing.values()


def _names(thing: Any) -> Iterator[str]:
    """Names of attributes that an object holds."""
    if isinstance(thing, nn.Module):
        yield from (*thing._parameters, *thing._buffers, *thing._modules)
    if not isinstance(thing, type | ModuleType):
        yield from getattr(thing, "__dict__", ())


def _content(cell: Any) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # an empty one
        return None


def _global(function: FunctionType, name: str) -> object:
    return function.__globals__.get(name, vars(builtins).get(name, ABSENT))


# -- objects -----------------------------------------------------------------------------------


def _is_plain_array(thing: Any) -> bool:
    if isinstance(thing, np.ndarray):
        return type(thing) is np.ndarray and not thing.dtype.hasobject
    return (
        type(thing) in (Tensor, nn.Parameter)
        and not vars(thing)
        and thing.is_leaf
        and thing.layout == torch.strided
        and not (thing.is_quantized or thing.is_complex() or thing.is_inference())
        and thing._backward_hooks is None
        and thing._post_accumulate_grad_hooks is None
    )


def _is_plain_class(cls: type) -> bool:
    """Whether a foreign class has ordinary methods, properties and values, and no other way."""
    bases = (base for base in cls.__mro__ if of_library(base.__module__))
    return (
        type(cls) in (type, FunctionMeta)
        and cls not in copyreg.dispatch_table
        and all(map(_is_base, bases))
        and all(_is_plain_member(name, value) for name, value in vars(cls).items())
    )


def _is_base(cls: type) -> bool:
    modules = issubclass(cls, nn.Module) and cls.__module__.startswith("torch.nn.modules.")
    return modules or cls in Function.__mro__ or is_ours(cls.__module__)


def _is_plain_member(name: str, value: Any) -> bool:
    kind = type(value)
    if kind is FunctionType:
        return name in SPECIAL or not name.startswith("__")
    if name in ("__dict__", "__weakref__"):
        return kind is GetSetDescriptorType
    if name == "_backward_cls":
        return issubclass(value, BackwardCFunction)
    if name.startswith("__"):
        return name in DATA and (kind in PLAIN or kind in COLLECTIONS)
    return kind in (property, staticmethod) or not (hasattr(kind, "__get__") or _is_space(value))


def _is_trusted(cls: type) -> bool:
    """Whether a library's class is one of those known here, and as the library made it."""
    known = cls in KINDS or (is_known(cls) and _is_base(cls)) or BackwardCFunction in cls.__mro__
    return known and _is_as_made(cls)


# -- libraries ---------------------------------------------------------------------------------


def _is_library_whole() -> bool:
    """Whether torch's functions are its own, and nobody watches all modules or functions."""
    watched = any(value for name, value in vars(nn.modules.module).items() if name in HOOKS)
    modes = torch._C._len_torch_function_stack() + torch._C._len_torch_dispatch_stack()
    return not watched and modes == 0 and all(map(_is_as_made, (torch, F, Tensor)))


def _is_as_made(space: type | ModuleType) -> bool:
    """Whether the functions of a class or module are those of a library's modules."""
    return all(
        _is_of_library(value) for value in vars(space).values() if type(value) is FunctionType
    )


def _is_of_library(function: FunctionType) -> bool:
    kept = function.__globals__
    name = kept.get("__name__")
    module = sys.modules.get(name) if of_library(name) or name == "typing_extensions" else None
    file = function.__code__.co_filename
    made_there = file == kept.get("__file__") or (is_ours(name) and file == "<string>")
    return module is not None and vars(module) is kept and made_there
