"""The papers that robench reproduces: each a folder with its tables, claims and numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from robench import hookimpl

if TYPE_CHECKING:
    from robench.studies import Study


@hookimpl
def robench_studies() -> Iterable[Study]:
    """Song et al. (2021) and Lin et al. (2021)."""
    from robench_studies.intrs2021 import tables as intrs2021
    from robench_studies.song2021 import tables as song2021

    return (*song2021.STUDIES.values(), *intrs2021.STUDIES.values())
