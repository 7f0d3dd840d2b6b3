"""What a published record must not say: where its author's files lie, and who the author is."""

from __future__ import annotations

import getpass
import re
import socket
from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import cache
from typing import Any

from robench.base.errors import UserError
from robench.base.text import HIDDEN
from robench.core.record import Record

PATH = re.compile(
    r"""(?:^|[\s=,;:"'`(\[{])(?:/[^\s/]|~[\w.-]*/|~(?:\n|$))"""  # /data/x, ~/x, ~someone/x
    r"""|(?<![A-Za-z])[A-Za-z]:[\\/]|\\\\[\w.-]+\\|file:/|/(?:home|Users|root)/"""
)
"""A place on somebody's machine; `8/255`, `img/s` and addresses on the web are none."""
NO_PLACE = "no place on a machine"
SHARED = {"root", "user", "admin", "ubuntu", "localhost", "runner", "build", "nobody", "jovyan"}
"""Names of accounts and hosts that say nothing about anybody."""
MOST = 50_000
"""Texts that are remembered."""
LEAST = 4
"""Letters of a name that is looked for: shorter ones are parts of sentences."""


def check_private(record: Record, texts: Collection[bytes]) -> None:
    """Raise UserError, naming the field, for a path, an account or host name, a hidden character.

    `texts` are all texts of the record as it was read; none where they hold escapes.
    """
    # Nearly all texts of a record stand in it many times, and in others: looking at each once is
    # ten times faster than field by field.
    if texts:
        known = _known(own_names())
        new = set(texts) - known
        if _plain([one.decode("utf-8", "replace") for one in new]):
            known.update(new if len(known) < MOST else ())
            return
    for where, one in _texts(record.model_dump(), ""):
        check_text(one, where)


def check_text(text: str, where: str) -> None:
    """Raise UserError for what `check_private` refuses, in one text; `where` names it."""
    if wrong := _wrong(text):
        wanted, got = wrong
        advice = f"; {_advice(where)}" if wanted == NO_PLACE else ""
        raise UserError(f"expected {wanted} in {where}, got {got[:60]!a}{advice}")


def _advice(where: str) -> str:
    """What to do about a place on a machine."""
    if where.startswith("config.model."):
        return "run again in that folder, and name the file without it"
    return "give it relative to the data root"


def _plain(texts: Collection[str]) -> bool:
    """Whether nothing is wrong in any text; looking for places in all takes most of the time."""
    if any(PATH.search(one) for one in texts if "/" in one or "~" in one or "\\" in one):
        return False
    whole, own = "\n".join(texts).replace("\t", " "), _own()
    return HIDDEN.search(whole) is None and (own is None or own.search(whole) is None)


def _wrong(text: str) -> tuple[str, str] | None:
    """What should stand there instead, and what does; None where nothing is wrong."""
    if found := PATH.search(text):
        return NO_PLACE, text[found.start() :].partition("\n")[0]
    # A tab is white space on a page.
    if found := HIDDEN.search(text.replace("\t", " ")):
        return "plain characters", found.group()
    own = _own()
    if own is not None and (found := own.search(text)):
        return "no account or host name", found.group()
    return None


def _texts(value: Any, where: str) -> Iterator[tuple[str, str]]:
    """Every text with the field it stands in, keys too."""
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield f"a name in {where or 'the record'}", str(name)
            yield from _texts(one, f"{where}.{name}" if where else str(name))
    elif isinstance(value, list | tuple):
        for place, one in enumerate(value):
            yield from _texts(one, f"{where}.{place}")


@cache
def _known(own: str) -> set[bytes]:
    """Texts with which nothing is wrong, where these names are looked for."""
    return set()


def own_names() -> str:
    """What is looked for of this machine's account and host."""
    own = _own()
    return "" if own is None else own.pattern


@cache
def _own() -> re.Pattern[str] | None:
    """This machine's account and host as words; None where neither says anything."""
    names = {socket.gethostname().partition(".")[0]}
    with suppress(OSError, KeyError):  # an account without a name
        names.add(getpass.getuser())
    telling = [re.escape(n) for n in names if len(n) >= LEAST and n.lower() not in SHARED]
    if not telling:
        return None
    return re.compile(rf"(?<![\w-])(?:{'|'.join(sorted(telling))})(?![\w-])", re.IGNORECASE)
