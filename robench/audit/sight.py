"""Whether all that a network's code could keep lies where a look at its objects finds it.

Whatever is not known is out of sight. Code passes that reads attributes, calls listed functions of
torch and Python, and writes to its locals, and to tensors, arrays and collections, whose contents
are looked at; objects pass that hold nothing else. What changes a library from outside (an operator
in C, a thread) is beyond this.
"""

from __future__ import annotations

import builtins
import copyreg
import sys
from collections import OrderedDict, deque
from collections.abc import Collection, Iterator
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

from robench.audit.listed import ATTRIBUTES, BLOCKS, LISTED, MODULES, READS, STEPS
from robench.audit.reach import ABSENT, PLAIN, Reach, is_known, is_ours, of_library

HOOKS = [
    name
    for name in vars(nn.modules.module)
    if name.startswith("_global_") and name.endswith("_hooks")
]
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
            and getattr(function, "__builtins__", None) is vars(builtins)
            and not any(name != "__class__" and _is_space(_content(cell)) for name, cell in cells)
            and self._is_plain_code(function.__code__, function)
        )

    def _is_plain_code(self, code: CodeType, function: FunctionType) -> bool:
        steps = list(get_instructions(code))
        inner = (one for one in code.co_consts if isinstance(one, CodeType))
        # A generator that is left in the middle ends its block whenever it is collected.
        paused = code.co_flags & CO_GENERATOR and any(one.opname in BLOCKS for one in steps)
        return (
            not paused
            and all(_is_plain_step(step, code) for step in steps)
            and self._reads_plainly(steps, function)
            and all(self._is_plain_code(one, function) for one in inner)
        )

    def _reads_plainly(self, steps: list[Instruction], function: FunctionType) -> bool:
        space: Any = None
        for step in steps:
            read, value = step.opname in READS, None
            # Of a module or a class something is read at once: it is handed to nobody.
            if space and (not read or step.is_jump_target):
                return False
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


def _is_plain_step(step: Instruction, code: CodeType) -> bool:
    if step.opname == "STORE_DEREF" and step.argval in code.co_freevars:
        return False  # it is somebody else's
    # A class makes objects, whose `__init__` nobody looked at.
    return step.opname in STEPS and (step.opname, step.argval) != ("LOAD_DEREF", "__class__")


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


def _is_as_made(space: Any) -> bool:
    """Whether the functions of a class or module are those of a library's modules."""
    return all(
        _is_of_library(value) for value in vars(space).values() if type(value) is FunctionType
    )


def _is_of_library(function: FunctionType) -> bool:
    kept = function.__globals__
    name = str(kept.get("__name__"))
    module = sys.modules.get(name) if of_library(name) or name == "typing_extensions" else None
    file = function.__code__.co_filename
    made_there = file == kept.get("__file__") or (is_ours(name) and file == "<string>")
    return module is not None and vars(module) is kept and made_there
