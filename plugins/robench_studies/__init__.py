"""Reproductions of papers, one folder each, all of the same shape.

- `*.csv`: the paper's numbers, a row a cell
- `tables.py`: the rows and columns of its tables, and its cells
- `claims.py`: what it claims, as conditions on records
- `sections.py`: what the report shows beside the tables
- `studies.py`: the studies made of these, `STUDIES` by name

Why a claim ends as it does is read from records, and lies beside the published ones: the
repository's `leaderboard/studies/reasons/`, a file a study.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from robench import hookimpl

if TYPE_CHECKING:
    from robench.studies import Study

REASONS = Path(__file__).resolve().parents[2] / "leaderboard" / "studies" / "reasons"
"""In a checkout; an installed wheel has neither records nor reasons."""


@hookimpl
def robench_studies() -> Iterable[Study]:
    """Song et al. (2021), Lin et al. (2021), and what toolchains do to robustness."""
    from robench_studies.intrs2021 import studies as intrs2021
    from robench_studies.song2021 import studies as song2021
    from robench_studies.toolchains import studies as toolchains

    every = (song2021.STUDIES, intrs2021.STUDIES, toolchains.STUDIES)
    return [study for studies in every for study in studies.values()]
