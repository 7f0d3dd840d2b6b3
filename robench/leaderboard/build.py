"""Records to a static site: a function of the records' files, of who verified them and of studies.

Three stages, each of which leaves alone what did not change: a record to its row, rows that belong
together to one, and all rows of a protocol to the files of their table.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from pathlib import Path

from robench.base.arrow import unpressed
from robench.base.errors import UserError
from robench.base.files import require_writable
from robench.base.hashing import digest
from robench.base.parallel import Each, uncollected, workers
from robench.base.paths import shipped
from robench.collection.known import Seen
from robench.collection.shards import KEY
from robench.collection.store import Collection, fill_values
from robench.leaderboard.read.intake import find_records
from robench.leaderboard.read.refusals import Refusal, find_refusals
from robench.leaderboard.table.row import BoardRow
from robench.leaderboard.table.site import Site, make_site
from robench.leaderboard.write.changed import Changed
from robench.leaderboard.write.charts import CHARTS
from robench.leaderboard.write.gather import (
    DRAWN,
    Gathered,
    gather,
    leave_out,
    read_contents,
)
from robench.leaderboard.write.index import (
    chart_files,
    first_points,
    same_pages,
    site_files,
    still_files,
    tab_files,
)
from robench.leaderboard.write.pages import compact
from robench.leaderboard.write.shards import pictures_script, row_shards, rows_script, shard_of
from robench.leaderboard.write.studies import alike, possible_rows, read_rows, study_page
from robench.leaderboard.write.values import values_file
from robench.records.trust import read_attestations
from robench.studies.catalogue import studies
from robench.studies.reasons import read_reasons
from robench.studies.study import Study

SITE, VALUES = "data/site.js", "data/values.parquet"
"""The first is also by what a folder is known as a page that may be replaced."""
AT_ONCE = 2_500
"""Rows whose documents are in memory at once."""


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
    attestations = read_attestations(verified) if verified else {}
    found, refusals = find_records(roots), find_refusals(roots)
    collection = Collection.of(roots)
    page = Changed(out, collection.folder / f"page-{digest(str(out))}")
    with collection.held(), uncollected():
        seen = collection.recall(one for _, one in found)
        with _drawing(seen) as draw:
            seen = read_contents(seen)
            named = [(name, one) for (name, _), one in zip(found, seen, strict=True)]
            gathered = gather(collection, named, attestations)
            fed = {content for row in gathered.rows for content in row.contents}
            left = fill_values(collection, [one for one in seen if one.content in fed])
            changed = {one.content for one in seen if one.folder in left} if left else ()
            leave_out(gathered, changed)
            collection.know(seen)
            digests = {one.content: one.digest for one in seen}
            # What is known of a hundred thousand folders is as much as their tables take.
            del found, named, seen
            site = _site(gathered, refusals)
            try:
                shown = _studies(site, gathered.keys, roots, page)
                _write(site, shown, gathered, collection, digests, page, draw)
                page.finish()
            finally:
                page.close()
    return site


def _drawing(seen: Sequence[Seen]) -> AbstractContextManager[Each]:
    """What draws pictures: of many new records in another process, for a browser's engine does it,
    which takes as much memory as ten thousand rows.

    An engine that this process began does not work in one that is forked from it.
    """
    new = sum(not one.content for one in seen)
    return workers(0 if "vl_convert" in sys.modules else new)


def _site(gathered: Gathered, refusals: Sequence[Refusal]) -> Site:
    refused = gathered.refused
    if not gathered.rows:
        first = f"; {refused[0].name}: {refused[0].reason}" if refused else ""
        raise UserError(f"expected at least one sound record, got none of {len(refused)}{first}")
    return make_site(gathered.rows, refused, refusals)


def _write(
    site: Site,
    shown: Sequence[Study],
    gathered: Gathered,
    collection: Collection,
    digests: Mapping[str, str],
    page: Changed,
    draw: Each,
) -> None:
    """Hand the page every part that is not there as it should be; `draw` draws its pictures."""
    keys, shards = gathered.keys, row_shards(len(site.rows))
    every = [[row.id, keys[row.id]] for row in site.rows]
    made_of = digest(every)
    if page.stands("assets", 0) is None:
        page.put("assets", 0, _assets())
    if page.stands("pages", 0) is None:
        page.put("pages", 0, same_pages())
    if page.stands("charts", 0) is None:
        page.put("charts", 0, *draw(chart_files, [CHARTS]))
    points = first_points(site)
    if page.stands("stills", points) is None:
        page.put("stills", points, *draw(still_files, [points]))
    about = [made_of, [[one.name, one.reason] for one in site.refused], [one.name for one in shown]]
    about.append([[one.asked, one.reason] for one in site.refusals])
    if page.stands("site", about) is None:
        stills = {name for name, its in points.items() if its}
        page.put("site", about, site_files(site, shards, shown, stills))
    columns = [column.key for column in site.columns]
    for number, tab in enumerate(site.tabs):
        its = [columns, [[row.id, keys[row.id]] for row in tab.rows]]
        if page.stands(tab.key, its) is None:
            page.put(tab.key, its, tab_files(site, number))
    if page.stands("values", made_of) is None:
        told = {row.id: told for row in site.rows if (told := gathered.told[keys[row.id]])}
        page.put("values", made_of, [(VALUES, values_file(collection, site.rows, digests, told))])
    others = sorted(_other_names(site.rows).items())
    _write_rows([*every, *([name, "", row] for name, row in others)], gathered, shards, page)


def _other_names(rows: Sequence[BoardRow]) -> dict[str, str]:
    """By the id of a record that feeds one row, or is set aside beside one alone, the id of that
    row, where no row has it: an address that somebody kept still leads there, and never to a row
    that another may claim it from."""
    fed = _leading((name, row.id) for row in rows for name in row.members)
    verified = (row for row in rows if row.proof.level == "verified")
    proven = _leading((name, row.id) for row in verified for name in row.members)
    beside = _leading((one.id, row.id) for row in rows for one in row.proof.aside)
    taken = {row.id for row in rows}
    return {
        name: next(iter(its))
        for name, its in {**beside, **fed, **proven}.items()
        if len(its) == 1 and name not in taken
    }


def _leading(pairs: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, row in pairs:
        found.setdefault(name, set()).add(row)
    return found


def _assets() -> Iterator[tuple[str, str | bytes]]:
    template = shipped("leaderboard/template")
    for path in sorted(template.glob("*/*")):
        yield path.relative_to(template).as_posix(), path.read_bytes()


def _studies(
    site: Site, keys: Mapping[str, str], roots: Sequence[Path], page: Changed
) -> list[Study]:
    """The studies that the records touch, each with its page.

    Reasons that are not installed are those beside the records.
    """
    touched = []
    every = alike(site.rows)
    for study in studies().values():
        if not (possible := possible_rows(every, study)):
            continue
        for root in roots:
            study = study.beside(root)
        reasons = read_reasons(study.reasons, study.name)
        read = read_rows(site.rows, reasons.values())
        inputs = [
            [keys[row.id] for row in (*possible, *read)],
            {name: one.model_dump(mode="json") for name, one in reasons.items()},
            study.has_reasons,
        ]
        part = f"study {study.name}"
        paths = page.stands(part, inputs)
        if paths is None:
            text = study_page(study, possible, read)
            files = [] if text is None else [(f"studies/{study.name}.html", text)]
            paths = page.put(part, inputs, files)
        touched += [study] if paths else []
    return touched


def _write_rows(every: Sequence[list[str]], gathered: Gathered, shards: int, page: Changed) -> None:
    """The documents and pictures of rows, some shards at a time; of `every` each is an id with the
    key of what is drawn, or another name of a row, without a key, and that row's id."""
    stale: list[tuple[int, list[list[str]]]] = []
    ordered = sorted(every, key=lambda one: (shard_of(one[0], shards), one[0]))
    for shard, group in groupby(ordered, key=lambda one: shard_of(one[0], shards)):
        its = list(group)
        if page.stands(f"rows {shard}", its) is None:
            stale.append((shard, its))
    while stale:
        some, count = [], 0
        while stale and count < AT_ONCE:
            some.append(stale.pop())
            count += len(some[-1][1])
        drawn = _drawn(gathered, {one[1] for _, its in some for one in its})
        for shard, its in some:
            page.put(f"rows {shard}", its, _row_files(shard, its, drawn))


def _drawn(gathered: Gathered, keys: set[str]) -> dict[str, tuple[bytes, bytes | None]]:
    """Document and pictures by key."""
    loose = {key: (one["document"], one["sprite"]) for key, one in gathered.loose.items()}
    return loose | {
        key: (columns["document"][at], columns["sprite"][at])
        for _, columns in gathered.tables[DRAWN].read()
        for at, key in enumerate(columns[KEY])
        if key in keys
    }


def _row_files(
    shard: int, its: Sequence[list[str]], drawn: dict[str, tuple[bytes, bytes | None]]
) -> Iterator[tuple[str, str]]:
    keys = {row_id: key for row_id, key, *_ in its if key}
    documents = {row_id: unpressed(drawn[key][0]).decode("ascii") for row_id, key in keys.items()}
    documents |= {name: compact({"row": of[0]}) for name, _, *of in its if of}
    yield rows_script(shard, documents)
    if sprites := {row_id: sprite for row_id, key in keys.items() if (sprite := drawn[key][1])}:
        yield pictures_script(shard, sprites)
