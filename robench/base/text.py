"""Words for people: one line, nothing that moves a terminal, the nearest known name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from unicodedata import category, normalize

HIDDEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f"  # control characters, the newline apart
    "\u061c\u200b-\u200f\u202a-\u202e\u2028\u2029\u2060-\u2069\ufeff"  # direction, no width
    "\ud800-\udfff]"  # halves of characters, which cannot be written
)
"""Characters that move a terminal's cursor, turn a line's direction, or cannot be seen."""
FILLER = re.compile("[\u034f\u115f\u1160\u25a0-\u25ff\u3164\uffa0]")
"""Letters and accents that look like nothing, and shapes that count as signs of mathematics."""
MARKS = ("So", "Co", "Cn", "Cf")
"""Categories of characters that are drawn as pictures, or in no known way."""
STACKED = 2
"""Accents on one letter at most."""
HYPHEN = re.compile(r"(?<![\w.=/-])-(?=\.?[0-9])")


def visible(text: str) -> str:
    r"""The text with control characters and marks of direction as `\u001b`; newlines stay.

    JSON text stays the same JSON.
    """
    return HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def one_line(text: object) -> str:
    """What `str` gives as one visible line; what raises instead has no words."""
    try:
        words = str(text).split()
    except Exception:  # a foreign class may fail to print itself
        return "no words"
    return visible(" ".join(words))


def unmarked(text: str) -> str:
    r"""The text with letters in their usual form, and with symbols, fillers and accents beyond
    STACKED on one letter as `\u25c6`: none of it looks like a page's own marks, or like nothing."""
    return text if text.isascii() else "".join(_unmarked(text))


def _unmarked(text: str) -> Iterator[str]:
    stacked = 0
    for sign in text:
        kind = category(sign)
        stacked = stacked + 1 if kind in ("Mn", "Me") else 0
        if stacked > STACKED or kind in MARKS or FILLER.match(sign):
            yield f"\\u{ord(sign):04x}"
        else:
            # Digits stay: a raised 2 is no 2.
            yield normalize("NFKC", sign) if kind[0] == "L" else sign


def shortened(text: str, most: int = 80) -> str:
    """A text of at most `most` letters, three dots for what is left out."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def reason(error: BaseException) -> str:
    """An error as one visible line: its class and its message."""
    return f"{type(error).__name__}: {one_line(error) or 'no message'}"


def counted(count: int, noun: str) -> str:
    """A count and its noun, whose plural has an s: `1 row`, `1,040 rows`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def true_minus(text: str) -> str:
    """A text for people with a minus sign in front of its negative numbers, in place of a hyphen.

    Options such as `seed=-1`, which are typed, dates and exponents stay as they are.
    """
    return HYPHEN.sub("\N{MINUS SIGN}", text)


def suggestion(name: str, known: Iterable[str]) -> str:
    """'; did you mean X?' for the nearest known name, or nothing."""
    names = {one.lower(): one for one in known}
    # A long name is known by its first word, too.
    names = {one.split("_")[0]: name for one, name in names.items()} | names
    near = difflib.get_close_matches(name.lower(), list(names), 1)
    return f"; did you mean {names[near[0]]!r}?" if near else ""
