"""Records that are taken in together are taken or refused as each is by itself, word by word."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.made_records import make_records
from robench.collection.known import look
from robench.leaderboard.write.gather import ROWS, _take, read_contents
from robench.records.store import RECORD
from tests.leaderboard.forger import Forgery

MUTANTS = 40
"""Places of a record that are changed, of some hundred."""


def _places(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Every place of a record that holds a number, a text, a truth or nothing."""
    items: Any = ()
    if isinstance(value, dict):
        items = [(name, one) for name, one in value.items() if "." not in name]
    elif isinstance(value, list):
        items = enumerate(value)
    else:
        yield where, value
    for name, one in items:
        yield from _places(one, f"{where}.{name}".lstrip("."))


def _other(value: Any) -> Any:
    if isinstance(value, bool | np.bool_):
        return not value
    if isinstance(value, str):
        return f"{value}x"
    return 1 if value is None else value + 1


def _mutants(good: Path, root: Path) -> Iterator[Path]:
    """Copies of a record with one place of it or of its tables changed, digests and all."""
    places = list(_places(json.loads((good / RECORD).read_text())))
    for where, value in places[:: len(places) // MUTANTS]:
        forgery = Forgery(good, root / where)
        forgery.set(where, _other(value))
        forgery.seal(name=False)
        yield forgery.folder
    for table in ("outcomes", "audit"):
        for name in getattr(Forgery(good, root / f"{table} itself"), table):
            forgery = Forgery(good, root / f"{table} {name}")
            frame: pd.DataFrame = getattr(forgery, table)
            frame.loc[7, name] = _other(frame.loc[7, name])
            forgery.seal(name=False)
            yield forgery.folder


def test_mutants_are_refused_in_company_as_they_are_alone(tmp_path: Path) -> None:
    make_records(tmp_path / "good", 2)
    good = sorted((tmp_path / "good").iterdir())
    folders = [*good, *_mutants(good[0], tmp_path / "bad")]
    lot = [(one, None) for one in read_contents(list(look(folders)))]
    together, alone = _take(lot), [_take([one])[0] for one in lot]
    assert together == alone
    refused = [
        one[ROWS][seen.content]["refused"] for (seen, _), one in zip(lot, together, strict=True)
    ]
    assert refused[: len(good)] == [None] * len(good)
    assert sum(one is not None for one in refused) > MUTANTS
