"""Records to a static page that opens from disk, without a server and without a network."""

from __future__ import annotations

from pathlib import Path

from robench.base.errors import UserError


def command(records: list[Path], out: Path | None, *, check: bool) -> int:
    """What `robench leaderboard` does; returns 1 when a check failed, else 0."""
    if check:
        return _check(records)
    if out is None:
        raise UserError("expected --out DIR for the page, or --check")
    from robench.cli.show import console
    from robench.leaderboard.build import build

    site = build(records, out)
    for one in site.refused:
        console().print(f"left out {one.name}: {one.reason}", markup=False, soft_wrap=True)
    console().print(f"{len(site.rows)} rows: {out / 'index.html'}", markup=False, soft_wrap=True)
    return 0


def _check(records: list[Path]) -> int:
    from robench.cli.show import console
    from robench.leaderboard.check import check
    from robench.run.config import Places

    failed = 0
    for result in check(records, Places.from_environment()):
        line = f"{result.record}: {result.check} {result.outcome} {result.text}".rstrip()
        console().print(line, markup=False, soft_wrap=True)
        failed += result.outcome == "fail"
    return 1 if failed else 0
