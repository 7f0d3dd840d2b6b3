"""Names of the numbers that robench computes from records: no value of a record is called so.

Such a value would stand on a page, or meet a demand, as if robench had computed it.
"""

from __future__ import annotations

import re
from functools import lru_cache

COMPUTED = (
    # Columns of a page, and what `robench gate` and `robench show` say.
    "headline",
    "robust",
    "certified",
    "cost",
    "agreement",
    "file_bytes",
    "largest_perturbation",
    "rank",
    # What tables call metrics of robench's own.
    "clean",
    "attacked",
    "worst_case",
    "audited",
    "audited_worst_case",
    # What a page says of a row: its columns, what the row proves, and what its number means.
    *("pick", "network", "word", "audit", "level", "proof", "bits", "against_float"),
    *("dataset", "data", "model", "defense", "compressor", "access", "seed"),
    *("verified", "consistent", "reported", "disputed"),
    *("holds", "weak", "suspect", "masked", "broken", "upper_bound", "not_audited"),
    *("invalid", "at_chance"),
)
_OTHERS = re.compile(r"[^a-z0-9]+")
_NORM = re.compile(r"(?<![a-z0-9])l(inf|[0-9])(?![a-z0-9])")
_NO_LETTERS = re.compile(r"[^a-z]+")


@lru_cache(4096)
def spelled(name: str) -> str:
    """A name in lower case, its words joined by single underscores: alike for names that read
    alike."""
    return _OTHERS.sub("_", name.lower()).strip("_")


@lru_cache(4096)
def bare(name: str) -> str:
    """A name's letters in lower case, without its norms: alike for `robust` and `ro_bust:linf.2`,
    which a column's axes could have made of it."""
    return _NO_LETTERS.sub("", _NORM.sub("", name.lower()))


_BARE = {bare(name) for name in COMPUTED}


def is_computed(name: str) -> bool:
    """Whether a metric's name is, or reads like, one of COMPUTED, alone or before a dot: a page's
    addresses join a column's metric and its axes by dots."""
    return bare(name) in _BARE or bare(name.partition(".")[0]) in _BARE
