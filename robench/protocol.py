"""Which rows may be ranked together: the same images under the same attacks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from robench.digest import digest
from robench.record import AttackRow, DataInfo

NO_ACCESS = "none"
"""The access of rows that read no model: noise, which no worst case counts."""


def protocol(
    data: DataInfo,
    rows: Iterable[AttackRow],
    config: Mapping[str, Any],
    components: Mapping[str, str],
) -> str:
    """The digest under which rows may be ranked: images, and every attack with its threat.

    What else was measured, and noise, do not enter: they change no worst case. `components` maps
    kind.choice to "distribution version / component version".
    """
    attacks = sorted(
        [row.norm, str(row.eps), *setting(row, config, components)]
        for row in rows
        if row.access != NO_ACCESS
    )
    return digest([data.hash, data.subset, attacks])


def setting(
    row: AttackRow, config: Mapping[str, Any], components: Mapping[str, str]
) -> tuple[str, str, str]:
    """A row's attack, its access, and the digest of what defines both; norm and eps apart."""
    options = {k: v for k, v in config["attack"][row.attack].items() if k not in ("norm", "eps")}
    access = config["access"].get(row.access, {})
    grid = config["threat"].get("grid", True)
    version = _version(components.get(f"attack.{row.attack}", ""))
    return row.attack, row.access, digest([options, access, grid, version])


def _version(component: str) -> tuple[str, str]:
    """The distribution and the component's own version: it says when its numbers change."""
    origin, _, own = component.rpartition(" / ")
    return origin.partition(" ")[0], own
