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
)
_OTHERS = re.compile(r"[^a-z0-9]+")


@lru_cache(4096)
def spelled(name: str) -> str:
    """A name in lower case, its words joined by single underscores: alike for names that read
    alike."""
    return _OTHERS.sub("_", name.lower()).strip("_")


def is_computed(name: str) -> bool:
    """Whether a metric's name is, or reads like, one of COMPUTED, alone or before a dot: a page's
    addresses join a column's metric and its axes by dots."""
    return spelled(name) in COMPUTED or spelled(name.partition(".")[0]) in COMPUTED
