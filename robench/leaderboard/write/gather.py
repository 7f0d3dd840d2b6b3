"""First pass over all records: which of them feed which row, and which feed none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from robench.base.hashing import digest
from robench.leaderboard.read.claims import Attestations, Claim, read_claim
from robench.leaderboard.read.intake import Refused
from robench.leaderboard.read.merge import families, groups
from robench.leaderboard.read.twins import Settled, settle
from robench.leaderboard.table.row import BoardRow
from robench.leaderboard.write.collect import collect
from robench.leaderboard.write.parallel import Each, why

Left = dict[str, str]
"""Why a record feeds no row, by the digest of its files."""


def gather(
    found: Sequence[tuple[str, Path]], attestations: Attestations, out: Path, each: Each
) -> tuple[list[BoardRow], list[Refused]]:
    """The rows of the records, by name and folder, and those that feed none.

    Each row's files lie in `out`/<its id>.
    """
    names: dict[str, str] = {}
    alone: list[BoardRow] = []
    refused: list[Refused] = []
    places = [(out / f".{number}", folder) for number, (_, folder) in enumerate(found)]
    taken = each(partial(_take, attestations), places)
    for (name, _), (place, _), row in zip(found, places, taken, strict=True):
        if isinstance(row, str):
            refused.append(Refused(name, row))
        elif first := names.get(row.contents[0]):
            refused.append(Refused(name, f"the same record as {first}"))
            shutil.rmtree(place)
        else:
            names[row.contents[0]] = name
            place.rename(_waiting(row, out))
            alone.append(row)
    rows: list[BoardRow] = []
    for same in _groups(alone):
        its, left = _settle(same, attestations, out)
        rows += its
        refused += [Refused(names[content], why) for content, why in left.items()]
    return rows, refused


def _take(attestations: Attestations, at: tuple[Path, Path]) -> BoardRow | str:
    """The row of one record, its files in the first folder; or why there is none."""
    place, folder = at
    try:
        claim = read_claim(folder, attestations)
        return collect(settle([claim])[0], claim.id, place)
    except Exception as error:
        shutil.rmtree(place, ignore_errors=True)
        return why(error)


def _waiting(row: BoardRow, out: Path) -> Path:
    """Where a record's files wait until it is known which row it feeds."""
    return out / f".{row.contents[0]}"


def _groups(rows: Sequence[BoardRow]) -> Iterator[list[BoardRow]]:
    """Records of one protocol, or of none, and of one id or system that do not contradict each
    other's settings; under a protocol of one network, whatever their seeds.

    Those that verify come first, so that no other one decides whom they stand with.
    """
    ordered = sorted(rows, key=lambda row: (row.proof.level != "verified", row.id, row.contents))
    apart: dict[str, list[BoardRow]] = {}
    for row in ordered:
        apart.setdefault(row.key, []).append(row)
    for same in apart.values():
        for family in families((row, _keys(row)) for row in same):
            yield from groups((row, row.meaning) for row in family)


def _keys(row: BoardRow) -> list[str]:
    """What joins a row to others."""
    networks = [row.network] if row.protocol and row.network else []
    return [row.id, row.system, *networks]


def _settle(
    same: Sequence[BoardRow], attestations: Attestations, out: Path
) -> tuple[list[BoardRow], Left]:
    if len(same) == 1 and not (out / same[0].id).exists():
        _waiting(same[0], out).rename(out / same[0].id)
        return [*same], {}
    for row in same:
        shutil.rmtree(_waiting(row, out))
    claims = [read_claim(row.folders[0], attestations) for row in same]
    try:
        return _rows(claims, out)
    except Exception as error:
        return _without(claims, why(error), out)


def _without(claims: Sequence[Claim], fault: str, out: Path) -> tuple[list[BoardRow], Left]:
    """The rows without the one record that keeps the others from standing together."""
    for bad in reversed(claims):
        try:
            rows, left = _rows([one for one in claims if one is not bad], out)
        except Exception as error:
            why(error)  # raised when debugging
            continue
        return rows, {**left, bad.content: fault}
    return [], dict.fromkeys((one.content for one in claims), fault)


def _rows(claims: Sequence[Claim], out: Path) -> tuple[list[BoardRow], Left]:
    """Raises whatever a record does to those who read it; then nothing of a row is left."""
    made: list[BoardRow] = []
    every = settle(claims)
    try:
        for one in every:
            row_id = _free(one, every, out)
            made.append(collect(one, row_id, out / row_id))
    except Exception:
        for row in made:
            shutil.rmtree(out / row.id)
        shutil.rmtree(out / row_id, ignore_errors=True)
        raise
    return made, {
        aside.content: f"set aside: {aside.reason}" for one in every for aside in one.aside
    }


def _free(settled: Settled, every: Sequence[Settled], out: Path) -> str:
    """The first record's id, made longer where another row may claim it.

    One row that verifies keeps it among those that do not; of others none does, so that no address
    ever leads to another network.
    """
    first = settled.claims[0].id
    rivals = [one for one in every if one.claims[0].id == first and one.weights != settled.weights]
    proven = settled.level == "verified" and all(one.level != "verified" for one in rivals)
    name = first if proven or not rivals else first + (settled.weights or "")[:16]
    if not (out / name).exists():
        return name
    return first + digest([one.content for one in settled.claims])
