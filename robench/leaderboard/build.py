"""Records to a static site: a pure function of the records' files."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from robench.errors import UserError
from robench.leaderboard.collect import collect
from robench.leaderboard.index import write_index
from robench.leaderboard.intake import Refused, find_records
from robench.leaderboard.parallel import Each, workers
from robench.leaderboard.row import Row
from robench.leaderboard.rowpage import write_rows
from robench.leaderboard.site import Site, make_site
from robench.leaderboard.studies import write_studies
from robench.leaderboard.tabledata import TABLE
from robench.paths import shipped


def build(roots: Iterable[Path], out: Path) -> Site:
    """Make the site of all records below the roots in `out`, replacing an earlier one.

    Broken records are left out and named in `Site.refused`. Raises UserError when `out` holds
    something else or no record is left.
    """
    if out.exists() and any(out.iterdir()) and not (out / TABLE).is_file():
        raise UserError(
            f"expected an empty folder or an earlier page in {out}; choose another --out"
        )
    work = out.with_name(f".{out.name}.partial")
    shutil.rmtree(work, ignore_errors=True)
    for name in ("data", "rows", "charts"):
        (work / name).mkdir(parents=True)
    found = find_records(roots)
    try:
        with workers(len(found)) as each:
            site = _gather(found, work / "rows", each)
            template = shipped("leaderboard/template")
            for name in ("assets", "vendor"):
                shutil.copytree(template / name, work / name)
            write_index(site, write_studies(site, work), work)
            write_rows(site, work, each)
        shutil.rmtree(out, ignore_errors=True)
        work.rename(out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return site


def _gather(found: list[tuple[str, Path]], out: Path, each: Each) -> Site:
    rows: list[Row] = []
    refused: list[Refused] = []
    for (name, _), result in zip(found, each(partial(_take, out), found), strict=True):
        if isinstance(result, Row):
            rows.append(result)
        else:
            refused.append(Refused(name, result))
    if not rows:
        raise UserError(f"expected at least one sound record, got none of {len(found)}")
    return make_site(rows, refused)


def _take(out: Path, found: tuple[str, Path]) -> Row | str:
    """The row, or why there is none."""
    try:
        return collect(found[1], out)
    except UserError as error:
        return str(error)
