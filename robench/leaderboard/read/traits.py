"""What a record's components are, from the record or, of an older one, as they are here."""

from __future__ import annotations

from typing import Any

from robench.core.record import Record
from robench.plugin.components import Attack, Compressor
from robench.plugin.registry import registry

MAX_BITS = 64
"""Bits of a weight at most."""


def weight_bits(record: Record) -> int:
    """Bits of a weight as it ships; of an unknown compressor those of a float."""
    if record.bits is not None:
        return record.bits
    chosen = record.config["compressor"]
    name = next(iter(chosen), "none")
    bits = chosen.get(name, {}).get("bits")
    # Whatever a configuration holds, a page's column of bits must hold it too.
    if type(bits) is int and 1 <= bits <= MAX_BITS:
        return bits
    return int(_known("compressor", name, Compressor).bits)


def queries_only(record: Record) -> frozenset[str]:
    """The record's attacks that read answers only; an unknown one reads gradients."""
    if record.queries_only is not None:
        return frozenset(record.queries_only)
    attacks = record.config["attack"]
    return frozenset(name for name in attacks if _known("attack", name, Attack).queries_only)


def _known(kind: str, name: str, otherwise: type[Any]) -> Any:
    choice = registry().choices[kind].get(name)
    return choice.component if choice else otherwise
