"""Records to a static site: a pure function of the records' files."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from robench.base.errors import UserError
from robench.base.paths import shipped
from robench.leaderboard.read.intake import Refused, find_records
from robench.leaderboard.read.merge import groups
from robench.leaderboard.read.refusals import Refusal, find_refusals
from robench.leaderboard.table.row import BoardRow
from robench.leaderboard.table.site import Site, make_site
from robench.leaderboard.write.collect import collect
from robench.leaderboard.write.index import write_index
from robench.leaderboard.write.parallel import Each, workers
from robench.leaderboard.write.rowpage import finish_rows, start_rows
from robench.leaderboard.write.studies import write_studies
from robench.leaderboard.write.tabledata import TABLE


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
    roots = list(roots)
    found, refusals = find_records(roots), find_refusals(roots)
    try:
        with workers(len(found)) as each:
            site = _gather(found, refusals, work / "rows", each)
            template = shipped("leaderboard/template")
            for name in ("assets", "vendor"):
                shutil.copytree(template / name, work / name)
            written = start_rows(site, work, each)
            write_index(site, write_studies(site, work), work)
            finish_rows(site, written, work)
        shutil.rmtree(out, ignore_errors=True)
        work.rename(out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return site


def _gather(
    found: list[tuple[str, Path]], refusals: Sequence[Refusal], out: Path, each: Each
) -> Site:
    rows: list[BoardRow] = []
    refused: list[Refused] = []
    for (name, _), result in zip(found, each(partial(_take, out), found), strict=True):
        if isinstance(result, BoardRow):
            rows.append(result)
        else:
            refused.append(Refused(name, result))
    if not rows:
        raise UserError(f"expected at least one sound record, got none of {len(found)}")
    return make_site([_one_row(same, out) for same in _by_system(rows)], refused, refusals)


def _by_system(rows: list[BoardRow]) -> list[list[BoardRow]]:
    by_id = sorted(rows, key=lambda row: row.id)
    return groups((row, row.system, row.settings) for row in by_id)


def _one_row(same: list[BoardRow], out: Path) -> BoardRow:
    """The row of several records of one system; their files move together."""
    if len(same) == 1:
        return same[0]
    for row in same:
        shutil.rmtree(out / row.id)
    return collect([folder for row in same for folder in row.folders], out)


def _take(out: Path, found: tuple[str, Path]) -> BoardRow | str:
    """The row, or why there is none."""
    try:
        return collect([found[1]], out)
    except UserError as error:
        return str(error)
    # Whatever else a record breaks, it costs that record alone.
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
