"""Ranks with ties: entries of one named protocol that the images cannot tell apart share one."""

from __future__ import annotations

from collections.abc import Iterable

from robench.leaderboard.table.entries import Entry, separated
from robench.leaderboard.table.standing import no_rank


def ranks(entries: Iterable[Entry]) -> dict[str, int | None]:
    """Row id -> rank of its entry by mean headline, counted anew within each protocol; None for
    open runs, rows that make no claim, prove too little for one, or are disputed.

    From the best score downwards, an entry shares the rank of the first entry that holds it unless
    their images separate the two; then it opens the next rank.
    """
    found: dict[str, int | None] = {}
    protocols: dict[str, list[Entry]] = {}
    for entry in entries:
        found |= dict.fromkeys((row.id for row in entry.rows), None)
        if not no_rank(entry.first):
            protocols.setdefault(entry.first.key, []).append(entry)
    for same in protocols.values():
        same.sort(key=lambda entry: entry.place)
        leader, rank = same[0], 1
        for place, entry in enumerate(same, 1):
            if separated(leader, entry):
                leader, rank = entry, place
            found |= dict.fromkeys((row.id for row in entry.rows), rank)
    return found
