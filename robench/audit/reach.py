"""Everything that the code of some objects can reach and change: its objects, and places outside.

Outside lie the globals and class attributes that its functions name, closures and default
arguments. Code of libraries is not looked through.
"""

from __future__ import annotations

import random
import sys
from array import array
from collections import deque
from collections.abc import Callable, Collection, Iterator, MutableMapping
from contextlib import suppress
from functools import cache, partial
from itertools import count
from threading import local
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    MappingProxyType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from robench.plugin.guest import OURS
from robench.plugin.registry import registry

LIBRARIES = sys.stdlib_module_names | {"torch", "numpy", "robench"}
"""Packages whose functions keep nothing about one network."""
PLAIN = {type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device, torch.Size}
GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
"""What draws goes on drawing, shared too: a copy would draw the same again."""
OPAQUE = {
    *("_abc", "_contextvars", "_ctypes", "_thread"),
    *("onnxruntime", "openvino", "ai_edge_litert"),
}
"""Packages whose objects refuse a copy, or run a file, which keeps nothing: copies share them."""
CODE = (FunctionType, MethodType, BuiltinFunctionType, ModuleType, type, staticmethod, classmethod)
"""What is followed to what it reaches, and no value itself."""
WRITTEN = (bytearray, array, count)
"""What shows only written out how it stands."""
MOST = 2_000_000
"""Things looked at: what makes another thing whenever it is looked at has no end."""
ABSENT: Any = object()
"""In a place that holds nothing."""


class TooMuch(Exception):
    """Code that reaches more than can be looked at."""


class Place(NamedTuple):
    """Something outside the objects that their code may change."""

    get: Callable[[], Any]
    put: Callable[[Any], None]


class Reach:
    """What some objects reach at this moment; `marks` of two moments differ where it changed."""

    def __init__(self, root: object) -> None:
        self.marks: list[tuple[object, object]] = []
        """Each thing met and what is in it; things are held, so that none takes another's id."""
        self.places: list[Place] = []
        self.memo: dict[int, Any] = {}
        """For `deepcopy`: what is shared, and what cannot be copied as it is."""
        self.foreign = False
        """Whether any of the code is neither a library's nor robench's own."""
        self.whole = True
        """Whether nothing that was met refused to be looked at."""
        self._seen: dict[int, object] = {}
        self._opaque: dict[int, bool] = {}
        self._left: deque[object] = deque([root])
        while self._left:
            self._look(self._left.popleft())

    def _look(self, thing: object) -> None:
        if id(thing) in self._seen:
            return
        try:
            self._look_into(thing, type(thing))
        except Exception:  # a foreign object may raise anything when it is looked at
            self.memo[id(thing)] = thing
            self.whole = False
        if len(self._seen) > MOST:
            raise TooMuch

    @property
    def things(self) -> Collection[object]:
        """All that was met but plain values: objects, classes, functions, library modules."""
        return self._seen.values()

    def _look_into(self, thing: Any, kind: type) -> None:
        if kind in PLAIN:
            # Numbers that are none read alike, whatever bits they have.
            self.marks.append((kind if thing == thing else thing, repr(thing)))
            return
        self._seen[id(thing)] = thing
        self.foreign = self.foreign or not is_known(thing if kind is FunctionType else kind)
        # By its kind, not by what it says of itself: a proxy may lie, or raise.
        if issubclass(kind, local):
            self.memo[id(thing)] = thing
            for name in list(vars(thing)):
                self._left.extend(self._place(_attribute(thing, name)))
        elif issubclass(kind, (ModuleType, np.memmap)) or self._is_opaque(kind):
            self.memo[id(thing)] = thing
        elif issubclass(kind, (*CODE, property, partial)):
            self.marks.append((thing, None))
            self._left.extend(self._code(thing))
        elif issubclass(kind, GENERATORS):
            self.memo[id(thing)] = thing
        elif issubclass(kind, (Tensor, np.ndarray)):
            self.marks.append((thing, self._content(thing)))
        elif issubclass(kind, WRITTEN):
            self.marks.append((thing, repr(thing)))
        else:
            inside = _inside(thing)
            self.marks.append((thing, [*map(_who, inside)]))
            self._left.extend(inside)
            self._left.append(kind)

    def _is_opaque(self, kind: type) -> bool:
        if id(kind) not in self._opaque:
            self._opaque[id(kind)] = any(
                _package(base.__module__) in OPAQUE for base in kind.__mro__
            )
        return self._opaque[id(kind)]

    def _content(self, thing: Any) -> object:
        """What tells whether numbers were written over."""
        if isinstance(thing, np.ndarray):
            return thing.shape, hash(thing.tobytes()) if not thing.dtype.hasobject else None
        if not thing.is_leaf:
            self.memo[id(thing)] = thing.detach().clone()
        version = 0 if thing.is_inference() else thing._version
        dense = thing.layout == torch.strided and not thing.is_quantized and not thing.is_complex()
        return thing.dtype, thing.shape, version, _hashed(thing) if dense else None

    # -- code --------------------------------------------------------------------------------------

    def _code(self, thing: object) -> Iterator[object]:
        """What code may read and write, and further code; its places are noted."""
        if isinstance(thing, MethodType):
            yield from (thing.__self__, thing.__func__)
        elif isinstance(thing, staticmethod | classmethod):
            yield thing.__func__
        elif isinstance(thing, property):
            yield from filter(None, (thing.fget, thing.fset))
        elif isinstance(thing, partial):
            yield from (thing.func, *thing.args, *thing.keywords.values())
        elif isinstance(thing, type):
            for base in thing.__mro__:
                if not of_library(base.__module__):
                    yield from self._class(base)
        elif isinstance(thing, FunctionType) and not of_library(thing.__module__):
            yield from self._function(thing)

    def _class(self, cls: type) -> Iterator[object]:
        for name, value in list(vars(cls).items()):
            if issubclass(type(value), (*CODE, property)):
                # It was called before anything could be asked.
                if name != "__init__":
                    yield value
            elif not name.startswith("__") and not hasattr(type(value), "__get__"):
                yield from self._place(_attribute(cls, name))

    def _function(self, function: FunctionType) -> Iterator[object]:
        names = set(_names(function.__code__))
        for cell in function.__closure__ or ():
            yield from self._place(_attribute(cell, "cell_contents"))
        for own in ("__defaults__", "__kwdefaults__"):
            yield from self._place(_attribute(function, own))
        for name in list(vars(function)):
            yield from self._place(_item(vars(function), name))
        kept = function.__globals__
        spaces = [kept, *(vars(kept[n]) for n in names if _is_own_module(kept.get(n)))]
        for space in spaces:
            for name in sorted(names):
                yield from self._place(_item(space, name))

    def _place(self, place: Place) -> Iterator[object]:
        """Note a place, unless it holds code; what it holds is looked at."""
        value = place.get()
        self.marks.append((Place, _who(value)))
        if not issubclass(type(value), CODE):
            self.places.append(place)
        if value is not ABSENT:
            yield value


def _hashed(tensor: Tensor) -> int:
    numbers = tensor.detach().cpu().reshape(-1)
    return hash(numbers.view(torch.uint8).numpy().tobytes())


def _who(held: object) -> int | None:
    """Which one something is; plain values are told apart by what they say."""
    return None if type(held) in PLAIN else id(held)


def _inside(thing: object) -> list[object]:
    """What an object holds."""
    named = getattr(thing, "__dict__", None)
    if not isinstance(named, dict):
        named = {}
    # Searching holds a module in eval mode, and puts that back.
    attributes = [value for name, value in named.items() if name != "training"]
    return [*_listed(thing), *attributes, *_slots(thing)]


def _slots(thing: object) -> Iterator[object]:
    """What an object holds in slots."""
    for base in type(thing).__mro__:
        if not of_library(base.__module__):
            for slot in vars(base).values():
                if isinstance(slot, MemberDescriptorType):
                    with suppress(AttributeError):  # an empty slot
                        yield slot.__get__(thing)


def _listed(thing: object) -> list[object]:
    """What a collection holds; of a mapping of somebody's own its attributes show that."""
    # Its own kind's ways, not what a subclass makes of them: it may hide what it holds.
    if isinstance(thing, dict):
        return [*dict.keys(thing), *dict.values(thing)]
    kinds: tuple[Any, ...] = (list, tuple, set, frozenset, deque)
    for kind in kinds:
        if isinstance(thing, kind):
            return list(kind.__iter__(thing))
    if isinstance(thing, MappingProxyType):
        return [*thing.keys(), *thing.values()]
    return []


def _names(code: CodeType) -> Iterator[str]:
    """Names that code reads or writes, some as texts, that of functions inside it too."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
        elif isinstance(constant, str) and constant.isidentifier():
            yield constant


def of_library(module: object) -> bool:
    """Whether a module, by its name, is a library's or robench's own."""
    return _package(module) in LIBRARIES or is_ours(module)


def is_ours(module: object) -> bool:
    """Whether a module, by its name, is robench's own or one of its own plugins'."""
    return _package(module) == "robench" or _package(module) in _plugins()


@cache
def _plugins() -> frozenset[str]:
    """Packages of robench's own plugins."""
    choices = [choice for kind in registry().choices.values() for choice in kind.values()]
    own = (choice.cls.__module__ for choice in choices if choice.distribution == OURS)
    return frozenset(map(_package, own))


def is_known(code: Any) -> bool:
    """Whether a class or function is what its module has by that name, and that is a library's."""
    module = sys.modules.get(code.__module__)
    if not of_library(code.__module__) or module is None:
        return False
    if isinstance(code, FunctionType):
        return code.__globals__ is vars(module)
    found: Any = module
    for name in code.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is code


def _package(module: object) -> str:
    # Of a class made in C it may be a descriptor, and anybody may set it to anything.
    return module.split(".")[0] if isinstance(module, str) else ""


def _is_own_module(value: Any) -> bool:
    return issubclass(type(value), ModuleType) and not of_library(value.__name__)


def _item(space: MutableMapping[str, Any], name: str) -> Place:
    def put(value: Any) -> None:
        if value is ABSENT:
            space.pop(name, None)
        else:
            space[name] = value

    return Place(lambda: space.get(name, ABSENT), put)


def _attribute(owner: Any, name: str) -> Place:
    def get() -> Any:
        try:
            return getattr(owner, name) if not isinstance(owner, type) else vars(owner)[name]
        except (AttributeError, KeyError, ValueError):  # an empty cell raises ValueError
            return ABSENT

    def put(value: Any) -> None:
        if value is not ABSENT:
            setattr(owner, name, value)
        elif get() is not ABSENT:
            delattr(owner, name)

    return Place(get, put)
