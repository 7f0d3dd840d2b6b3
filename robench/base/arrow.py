"""Arrow columns of what Python and numpy hold, and back.

Arrow's own conversions import pandas, which takes longer, and more memory, than most tables do.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE = 8
"""Bytes in which `pressed` says how many there were."""


def numbers(array: NDArray[Any], missing: NDArray[np.bool_] | None = None) -> Any:
    """An array of numbers or truths, shape (N,), as an Arrow array; null where `missing` says."""
    import pyarrow as pa

    present = None if missing is None or not missing.any() else _bits(~missing)
    if array.dtype.kind == "b":
        return pa.Array.from_buffers(pa.bool_(), len(array), [present, _bits(array)])
    data = pa.py_buffer(np.ascontiguousarray(array))
    return pa.Array.from_buffers(pa.from_numpy_dtype(array.dtype), len(array), [present, data])


def column(values: Sequence[Any], kind: Any) -> Any:
    """Values, None where one is missing, as an Arrow array of a type: text, bytes, numbers, lists
    of these, or words as places in a dictionary.

    Raises OverflowError for more than the type's places can number.
    """
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        places: dict[str, int] = {}
        at = [None if one is None else places.setdefault(one, len(places)) for one in values]
        words = column(list(places), kind.value_type)
        return pa.DictionaryArray.from_arrays(column(at, kind.index_type), words)
    absent = np.array([one is None for one in values], bool)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        known = [0 if one is None else one for one in values]
        return numbers(np.array(known, _numpy(kind)), absent)
    present = _bits(~absent) if absent.any() else None
    if pa.types.is_list(kind):
        parts = [() if one is None else one for one in values]
        inner = column(list(chain.from_iterable(parts)), kind.value_type)
        buffers = [present, _ends(parts, np.int32)]
        return pa.Array.from_buffers(kind, len(parts), buffers, children=[inner])
    data = [(one or "").encode() if pa.types.is_string(kind) else one or b"" for one in values]
    ends = _ends(data, np.int64 if pa.types.is_large_binary(kind) else np.int32)
    return pa.Array.from_buffers(kind, len(data), [present, ends, pa.py_buffer(b"".join(data))])


def _ends(parts: Sequence[Sequence[Any]], kind: type[np.signedinteger[Any]]) -> Any:
    """Where each part ends, one after the other, and the first begins."""
    import pyarrow as pa

    return pa.py_buffer(np.array([0, *accumulate(map(len, parts))], kind))


def _bits(truths: NDArray[np.bool_]) -> Any:
    """Arrow packs eight of them into a byte."""
    import pyarrow as pa

    return pa.py_buffer(np.packbits(truths, bitorder="little"))


def pressed(data: bytes) -> bytes:
    """Bytes made fewer by Zstandard at its quickest, which takes a third of the time of zlib."""
    found: bytes = _zstandard().compress(data, asbytes=True)
    return len(data).to_bytes(SIZE) + found


@cache
def _zstandard() -> Any:
    import pyarrow as pa

    return pa.Codec("zstd", 1)


# -- back ------------------------------------------------------------------------------------------


def array(column: Any, kind: str = "") -> NDArray[Any]:
    """An Arrow column as an array, cast to `kind`; a missing float is NaN.

    Raises ValueError for a column of another type (words or lists where numbers should stand),
    for other missing values and for values that `kind` does not hold.
    """
    stored, dtype, truths = _how(column.type, kind)
    if dtype is None:
        return _texts(column)
    whole = column if column.type == stored else column.cast(stored)
    whole = whole.combine_chunks() if hasattr(whole, "chunks") else whole
    present, values = whole.buffers()
    end = whole.offset + len(whole)
    if not end:
        return np.empty(0, bool if truths else dtype)
    if truths:
        if whole.null_count:
            raise ValueError(f"missing values among {stored}")
        return _truths(values, end)[whole.offset :]
    result = np.frombuffer(values, dtype, count=end)[whole.offset :]
    if whole.null_count:
        if dtype.kind != "f":
            raise ValueError(f"missing values among {stored}")
        known = _truths(present, end)[whole.offset :]
        result = np.where(known, result, np.nan).astype(dtype, copy=False)
    return result


def unpressed(data: bytes) -> bytes:
    """What `pressed` was given."""
    size = int.from_bytes(data[:SIZE])
    found: bytes = _zstandard().decompress(data[SIZE:], decompressed_size=size, asbytes=True)
    return found


def _texts(column: Any) -> NDArray[Any]:
    """Words as objects, None where one is missing; few are different, and each is in memory once: a
    column as wide as its longest word would take that much for every row."""
    coded = column if hasattr(column.type, "index_type") else column.dictionary_encode()
    coded = coded.combine_chunks() if hasattr(coded, "chunks") else coded
    words = np.array([*coded.dictionary.to_pylist(), None], object)
    at = array(coded.indices.cast("float64") if coded.null_count else coded.indices)
    texts: NDArray[Any] = words[np.nan_to_num(at, nan=-1).astype(np.int64)]
    return texts


def _truths(buffer: Any, count: int) -> NDArray[np.bool_]:
    """Arrow packs eight of them into a byte."""
    bits = np.unpackbits(np.frombuffer(buffer, np.uint8), count=count, bitorder="little")
    return bits.view(bool)


@lru_cache
def _how(kind: Any, wanted: str) -> tuple[Any, Any, bool]:
    """For a column's type and the wanted one: Arrow's type, numpy's (None of words), and whether
    these are truths; raises ValueError where the column is of another kind than wanted."""
    import pyarrow as pa

    found = pa.type_for_alias(wanted) if wanted else kind
    if is_word(found) and not wanted:
        return found, None, False
    if _family(kind) != _family(found):
        raise ValueError(f"{kind} where {found} should stand")
    return found, _numpy(found), bool(pa.types.is_boolean(found))


def _numpy(kind: Any) -> np.dtype[Any]:
    """The numbers of a type as numpy has them; Arrow's own answer loads pandas before its 24."""
    names = {"halffloat": "float16", "float": "float32", "double": "float64"}
    return np.dtype(names.get(str(kind), str(kind)))


def is_word(kind: Any) -> bool:
    """Whether a type is text, or places of texts in a dictionary."""
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _family(kind: Any) -> str:
    """Whole numbers, numbers or truths; raises ValueError for any other type."""
    import pyarrow as pa

    families = {
        "int": pa.types.is_integer(kind),
        "float": pa.types.is_floating(kind),
        "bool": pa.types.is_boolean(kind),
    }
    for name, holds in families.items():
        if holds:
            return name
    its = kind.value_type if pa.types.is_dictionary(kind) else kind
    raise ValueError(f"{its} where numbers should stand")
