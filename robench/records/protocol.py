"""Which rows may be ranked together: the same images under the same attacks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from robench.base.hashing import digest
from robench.core.record import AttackRow, DataInfo, FileInfo

WHITE_BOX, TRANSFER = "white_box", "transfer"
ACCESSES = (WHITE_BOX, TRANSFER)
"""What an attack may know of the model."""
PARENT = "parent"
"""The access of rows whose examples were made on the float network that a file was made from."""
NO_ACCESS = "none"
"""The access of rows that read no model: noise, which no worst case counts."""


def accesses_of(
    asked: Iterable[str], blind: bool, file: FileInfo | None, surrogate: bool, parent: bool
) -> list[str]:
    """The accesses of an attack's rows, where the run asked for some; a `blind` one's stay.

    Of a file whose twin is a surrogate, what searched on it transfers; of one without a twin no
    gradient search is made; and with a float parent every gradient search is made there, too.
    """
    if file is None or blind:
        return list(asked)
    known = [one for one in asked if one != WHITE_BOX or not file.black_box]
    shown = [TRANSFER if surrogate and one == WHITE_BOX else one for one in known]
    return [*shown, PARENT] if parent else shown


Settings = Mapping[tuple[str, str], str]
"""What each attack means, by attack and access."""


def settings(
    rows: Iterable[AttackRow], config: Mapping[str, Any], components: Mapping[str, str]
) -> dict[tuple[str, str], str]:
    """The digest of each attack's options, access and version; norm and eps stand in its rows.

    `components` maps kind.choice to "distribution version / component version".
    """
    grid = config["threat"].get("grid", True)
    found = {}
    for attack, access in dict.fromkeys((row.attack, row.access) for row in rows):
        options = {k: v for k, v in config["attack"][attack].items() if k not in ("norm", "eps")}
        how = config["access"].get(access, {})
        version = maker(components.get(f"attack.{attack}", ""))
        found[attack, access] = digest([options, how, grid, version])
    return found


def protocol(data: DataInfo, rows: Iterable[AttackRow], known: Settings) -> str:
    """The digest under which rows may be ranked: images, and every attack with its threat.

    What else was measured, and noise, do not enter: they change no worst case.
    """
    attacks = sorted(
        [row.attack, row.access, row.norm, str(row.eps), known[row.attack, row.access]]
        for row in rows
        if row.access != NO_ACCESS
    )
    return digest([data.hash, data.subset, attacks])


def maker(component: str) -> tuple[str, str]:
    """The distribution and the component's own version: it says when its numbers change."""
    origin, _, own = component.rpartition(" / ")
    return origin.partition(" ")[0], own
