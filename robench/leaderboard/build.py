"""Records to a static site: a pure function of the records' files and of who verified them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from robench.base.errors import UserError
from robench.base.files import require_writable
from robench.base.paths import shipped
from robench.leaderboard.read.intake import Refused, find_records
from robench.leaderboard.read.refusals import Refusal, find_refusals
from robench.leaderboard.table.row import BoardRow
from robench.leaderboard.table.site import Site, make_site
from robench.leaderboard.write.gather import gather
from robench.leaderboard.write.index import site_files, tab_files
from robench.leaderboard.write.parallel import workers
from robench.leaderboard.write.rowpage import row_files, write_values
from robench.leaderboard.write.shards import row_shards
from robench.leaderboard.write.studies import study_files
from robench.records.trust import read_attestations

SITE = "data/site.js"
"""By which a folder is known as a page that may be replaced."""


def build(roots: Iterable[Path], out: Path, verified: Path | None = None) -> Site:
    """Make the site of all records below the roots in `out`, replacing an earlier one.

    `verified` holds attestations; without it nothing counts as verified, for whoever sends records
    may lay a folder beside them. Broken records are left out and named in `Site.refused`. Raises
    UserError when `out` is no folder to write into or holds something else, an attestation is
    damaged, or no record is left.
    """
    require_writable(out, "--out")
    out = out.resolve()
    if out.exists() and any(out.iterdir()) and not (out / SITE).is_file():
        raise UserError(
            f"expected an empty folder or an earlier page in {out}; choose another --out"
        )
    if verified is not None and not verified.is_dir():
        raise UserError(f"expected a folder of attestations, got {str(verified)!r}")
    roots = list(roots)
    found, refusals = find_records(roots), find_refusals(roots)
    attestations = read_attestations(verified) if verified else {}
    work = out.with_name(f".{out.name}.partial")
    shutil.rmtree(work, ignore_errors=True)
    try:
        template = shipped("leaderboard/template")
        for name in ("assets", "vendor"):
            shutil.copytree(template / name, work / name)
        (work / "rows").mkdir()
        with workers(len(found)) as each:
            rows, refused = gather(found, attestations, work / "rows", each)
            site = _site(rows, refused, refusals)
            _write(site, work)
        shutil.rmtree(out, ignore_errors=True)
        work.rename(out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return site


def _site(
    rows: Sequence[BoardRow], refused: Sequence[Refused], refusals: Sequence[Refusal]
) -> Site:
    if not rows:
        first = f"; {refused[0].name}: {refused[0].reason}" if refused else ""
        raise UserError(f"expected at least one sound record, got none of {len(refused)}{first}")
    return make_site(rows, refused, refusals)


def _write(site: Site, work: Path) -> None:
    """Write all pages."""
    rows = work / "rows"
    studies = list(study_files(site))
    files = [
        *site_files(site, row_shards(len(site.rows)), [study for study, _ in studies]),
        *(file for number in range(len(site.tabs)) for file in tab_files(site, number)),
        *((f"studies/{study.name}.html", text) for study, text in studies),
        *row_files(site, rows),
    ]
    for name, text in files:
        (work / name).parent.mkdir(exist_ok=True)
        (work / name).write_text(text, encoding="utf-8")
    write_values(site, rows, work / "data")
    shutil.rmtree(rows)
