"""A built page's data files, read as its scripts read them."""

from __future__ import annotations

import base64
import json
import re
import zlib
from itertools import chain
from pathlib import Path
from typing import Any

from robench.leaderboard.write.shards import shard_of


def data(page: Path, name: str) -> Any:
    """What the data file of a name hands over."""
    text = (page / f"data/{name}.js").read_text(encoding="ascii")
    called = re.fullmatch(r'robench\.(take|packed)\("(.+?)", (.+)\);\n', text, re.DOTALL)
    assert called
    assert called[2] == name
    told = json.loads(called[3])
    return told if called[1] == "take" else json.loads(zlib.decompress(base64.b64decode(told)))


def document(page: Path, row_id: str) -> dict[str, Any]:
    """What the page of a row says of its own records."""
    site = data(page, "site")
    found: dict[str, Any] = data(page, f"rows-{shard_of(row_id, site['shards'])}")[row_id]
    return found


def texts(value: Any) -> str:
    """Every text in a value, one a line."""
    if isinstance(value, dict):
        return "\n".join(f"{name}\n{texts(one)}" for name, one in value.items())
    if isinstance(value, list):
        return "\n".join(map(texts, value))
    return str(value)


def rows(page: Path) -> dict[str, dict[str, Any]]:
    """All rows of the table by id: what orders and chooses them, and what they say besides."""
    found = {}
    site = data(page, "site")
    for tab in site["tabs"]:
        keys = data(page, f"{tab['key']}-keys")
        coded = {name: its for name, its in keys.items() if "at" in its}
        count = len(keys["id"])
        blocks = (data(page, f"{tab['key']}-{n}") for n in range(-(-count // site["block"])))
        numbers = {int(n): _listed(its, count) for n, its in keys["numbers"].items()}
        for place, told in enumerate(chain.from_iterable(blocks)):
            row_id = keys["id"][place]
            columns, cells, notes, models = told
            found[row_id] = {
                "tab": tab["key"],
                "rank": keys["rank"][place],
                **{name: its["of"][its["at"][place]] for name, its in coded.items()},
                "cells": dict(zip(keys["sets"][columns], cells, strict=True)),
                "numbers": {number: its[place] for number, its in numbers.items()},
                "notes": notes,
                "models": models,
            }
    return found


def _listed(listed: dict[str, list[Any]], count: int) -> list[float | None]:
    """A column's numbers, row by row."""
    few = dict(zip(listed.get("rows", range(count)), listed["of"], strict=True))
    return [few.get(place) for place in range(count)]
