"""Values of options: read from plain data into their declared types, and checked at registration.

The command line, presets, records and Python go through here, so that one word means one value.
Written out rather than left to pydantic, which would make `robench plugins` half as slow again.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from robench.base.errors import ConfigError, PluginError
from robench.base.hashing import plain
from robench.base.text import one_line, reason, shortened, suggestion

ALLOWED = (
    "bool, int, float, str, Path, an Enum, Literal, Optional, list, tuple, dict[str, ...], "
    "a frozen dataclass of these, or Any"
)
_UNION = (Union, types.UnionType)
_YES, _NO = ("true", "yes", "y", "on", "1"), ("false", "no", "n", "off", "0")
_WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    str: "text",
    Path: "a path",
    type(None): "null",
    Any: "numbers, texts, lists and mappings, all finite",
    list: "a list",
    tuple: "a list",
    dict: "a mapping with names as keys",
}


@cache
def option_types(cls: type) -> dict[str, Any]:
    """The declared types of a dataclass's options; raises NameError for a name that is unknown.

    What is handed over in Python (metadata plain=False) is no option.
    """
    hints = get_type_hints(cls)
    kept = [f for f in dataclasses.fields(cls) if f.metadata.get("plain", True)]
    return {field.name: hints[field.name] for field in kept}


def plain_defaults(component: Any) -> dict[str, Any]:
    """The options of a dataclass, or the values of an instance, in plain form.

    An option without a default is left out. Raises what a default_factory raises.
    """
    own = {f.name: f for f in dataclasses.fields(component)}
    names = option_types(component if isinstance(component, type) else type(component))
    found = {name: _default(component, own[name]) for name in names}
    return {k: plain(v) for k, v in found.items() if v is not dataclasses.MISSING}


def _default(component: Any, field: dataclasses.Field[Any]) -> Any:
    if not isinstance(component, type):
        return getattr(component, field.name)
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


# Registration


def check_options(component: Any) -> None:
    """Raise PluginError naming the first option that no run could be composed with."""
    cls = component if isinstance(component, type) else type(component)
    try:
        hints = option_types(cls)
    except Exception as error:  # annotations are evaluated
        raise PluginError(
            f"expected option types that can be evaluated, got {reason(error)}; import what they "
            "name outside of TYPE_CHECKING"
        ) from error
    for field in dataclasses.fields(cls):
        if field.name in hints:
            _check_option(component, field, hints[field.name])


def _check_option(component: Any, field: dataclasses.Field[Any], hint: Any) -> None:
    name = f"option {field.name!r}"
    if not field.init:
        raise PluginError(f"{name}: expected an option that can be given, got field(init=False)")
    for one in _unknown(hint):
        raise PluginError(f"{name}: expected {ALLOWED}, got the type {_name(one)}")
    try:
        value = _default(component, field)
    except Exception as error:  # a factory is foreign code
        raise PluginError(f"{name}: expected a default, its factory raised {reason(error)}") from (
            error
        )
    if value is dataclasses.MISSING:
        return
    try:
        # What is declared Any gets plain values everywhere, so its default is one.
        kept = value if hint is Any else plain(value)
        read_value(hint, json.loads(json.dumps(kept, allow_nan=False)), "the default")
    except (TypeError, ValueError) as error:
        raise PluginError(f"{name}: expected a default that JSON can hold, {reason(error)}") from (
            error
        )
    except ConfigError as error:
        raise PluginError(f"{name}: {error}") from error


def _unknown(hint: Any) -> Iterator[Any]:
    """The types within a type that no value can be read into."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (*_UNION, list, tuple):
        for one in inner:
            yield from () if one is Ellipsis else _unknown(one)
    elif origin is dict:
        yield from () if inner[0] is str else (hint,)
        yield from _unknown(inner[1])
    elif origin is Literal:
        yield from () if all(isinstance(one, (str, int)) for one in inner) else (hint,)
    elif isinstance(hint, type) and dataclasses.is_dataclass(hint):
        yield from () if hint.__dataclass_params__.frozen else (hint,)  # type: ignore[attr-defined]
        for one in option_types(hint).values():
            yield from _unknown(one)
    elif not (_is_enum(hint) or hint in _WORDS):
        yield hint


def _is_enum(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Enum)


def _name(hint: Any) -> str:
    return one_line(hint.__name__ if isinstance(hint, type) else hint).replace("typing.", "")


# Reading


def read_options(
    cls: type, given: Mapping[str, Any], where: str, *, widen: bool = False, partial: bool = False
) -> dict[str, Any]:
    """The given options of a dataclass as their types, from plain data or already typed.

    With `widen` a whole number given for a float becomes one; a record's numbers stay as they
    are, for they make its id. Unless `partial`, what has no default must be among them. Raises
    ConfigError naming the option: `where` and its name; "" names settings of the run.
    """
    before = f"{where}." if where else ""
    hints = option_types(cls)
    for name in given:
        if name not in hints:
            raise ConfigError(
                f"expected an option of {where}, got {one_line(name)!r}"
                + suggestion(str(name), hints)
            )
    required = (f.name for f in dataclasses.fields(cls) if f.name in hints and _required(f))
    for name in required:
        if name not in given and not partial:
            raise ConfigError(f"expected {before}{name}: it has no default; set it")
    return {
        name: read_value(hints[name], value, f"{before}{name}", widen=widen)
        for name, value in given.items()
    }


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is field.default_factory is dataclasses.MISSING


def read_value(hint: Any, value: Any, where: str, *, widen: bool = False) -> Any:
    """A value as its declared type; raises ConfigError: expected what, got what."""
    origin = get_origin(hint) or hint
    if origin in _UNION:
        return _union(hint, value, where, widen)
    if origin is Literal:
        return _chosen({str(one): one for one in get_args(hint)}, value, where)
    if _is_enum(hint):
        return value if isinstance(value, hint) else _member(hint, value, where)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        if isinstance(value, hint):
            return value
        return hint(**read_options(hint, _mapping(value, where), where, widen=widen))
    if origin in (list, tuple):
        return origin(_items(hint, value, where, widen))
    if origin is dict:
        inner = (get_args(hint) or (str, Any))[1]
        items = _mapping(value, where).items()
        return {k: read_value(inner, v, f"{where}.{k}", widen=widen) for k, v in items}
    read = _READERS[origin](value)
    if read is _UNFIT:
        raise ConfigError(f"expected {where} to be {_WORDS[origin]}, got {_shown(value)}")
    return float(read) if origin is float and widen else read


def _union(hint: Any, value: Any, where: str, widen: bool) -> Any:
    kinds = get_args(hint)
    if value is None and type(None) in kinds:
        return None
    kinds = tuple(kind for kind in kinds if kind is not type(None))
    if len(kinds) == 1:
        return read_value(kinds[0], value, where, widen=widen)
    # What is of one of the types already is left as that; "3" for int or str stays text.
    for kind in sorted(kinds, key=lambda kind: not _is(get_origin(kind) or kind, value)):
        try:
            return read_value(kind, value, where, widen=widen)
        except ConfigError:
            continue
    words = " or ".join(_WORDS.get(get_origin(kind) or kind, _name(kind)) for kind in kinds)
    raise ConfigError(f"expected {where} to be {words}, got {_shown(value)}")


def _is(kind: Any, value: Any) -> bool:
    return type(value) is kind


def _chosen(known: Mapping[str, Any], value: Any, where: str) -> Any:
    if str(value) in known and not isinstance(value, (list, dict)):
        return known[str(value)]
    raise ConfigError(
        f"expected {where} to be one of {', '.join(known)}, got {_shown(value)}"
        + suggestion(str(value), known)
    )


def _member(cls: type[Enum], value: Any, where: str) -> Enum:
    """A member by its name, as Hydra has it, else by its value."""
    word = str(value).removeprefix(f"{cls.__name__}.")
    for one in cls:
        if word not in cls.__members__ and word == str(one.value):
            return one
    found: Enum = _chosen(cls.__members__, word, where)
    return found


def _items(hint: Any, value: Any, where: str, widen: bool) -> Iterator[Any]:
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"expected {where} to be a list, got {_shown(value)}")
    kinds = get_args(hint) or (Any, ...)
    if get_origin(hint) is not tuple or (len(kinds) == 2 and kinds[1] is Ellipsis):
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise ConfigError(f"expected {where} to have {len(kinds)} items, got {len(value)}")
    for index, (kind, one) in enumerate(zip(kinds, value, strict=True)):
        yield read_value(kind, one, f"{where}[{index}]", widen=widen)


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ConfigError(f"expected {where} to be {_WORDS[dict]}, got {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    return "null" if value is None else shortened(one_line(repr(value)))


_UNFIT = object()


def _bool(value: Any) -> Any:
    word = str(value).lower() if isinstance(value, (bool, int, str)) else None
    return True if word in _YES else False if word in _NO else _UNFIT


def _int(value: Any) -> Any:
    try:
        return int(value) if type(value) in (int, str) else _UNFIT
    except ValueError:
        return _UNFIT


def _float(value: Any) -> Any:
    try:
        number = float(value) if isinstance(value, str) else value
    except ValueError:
        return _UNFIT
    fits = isinstance(number, (int, float)) and not isinstance(number, bool)
    return number if fits and math.isfinite(number) else _UNFIT


def _str(value: Any) -> Any:
    return str(value) if isinstance(value, (str, int, float)) else _UNFIT


def _path(value: Any) -> Any:
    return Path(value) if isinstance(value, (str, Path)) else _UNFIT


def _plain(value: Any) -> Any:
    """A plain value as it is, and what else Python hands over; NaN and infinities are none."""
    inner = value.values() if isinstance(value, Mapping) else value
    if isinstance(value, (list, tuple, Mapping)) and any(_plain(one) is _UNFIT for one in inner):
        return _UNFIT
    return _UNFIT if isinstance(value, float) and not math.isfinite(value) else value


_READERS: dict[Any, Callable[[Any], Any]] = {
    bool: _bool,
    int: _int,
    float: _float,
    str: _str,
    Path: _path,
    type(None): lambda value: value if value is None else _UNFIT,
    Any: _plain,
}
