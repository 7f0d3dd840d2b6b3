"""A study's report as Markdown: cells beside the paper's, claims with verdicts, settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from robench.core.outcomes import Score
from robench.studies.claims import Claim
from robench.studies.runs import Column, Runs
from robench.studies.study import Study


def report(study: Study, runs: Runs) -> str:
    """The whole report; raises nothing for what was not run, which is said in its place."""
    return "\n".join(_lines(study, runs))


def _lines(study: Study, runs: Runs) -> Iterator[str]:
    yield f"# {study.title}\n"
    yield f"Source: {study.source}. Made by `{study.command}`.\n"
    yield from _about(study, runs)
    for name, columns in study.tables.items():
        yield f"\n## {name}\n"
        yield "Ours with Wilson 95 % interval / the paper's / difference, in percent and points.\n"
        yield from _table(study, columns, runs)
    for section in study.extra:
        if text := section(runs):
            yield f"\n{text}"
    yield "\n## Claims\n"
    for claim in study.claims:
        yield from _claim(claim, runs)
    yield "\n## Free settings\n"
    yield "What the paper does not give, and our value.\n"
    yield "| setting | value |\n|---|---|"
    yield from (f"| {name} | {value} |" for name, value in study.settings.items())


def _about(study: Study, runs: Runs) -> Iterator[str]:
    found = list(runs)
    missing = [system.label for system in study.systems if runs.get(system) is None]
    if found:
        data = found[0].record.data
        yield (
            f"{len(found)} of {len(study.systems)} systems, {data.images} test images of "
            f"{data.name}, seed {found[0].record.seed}; differences are paired on these images."
        )
    if missing:
        yield f"Not run: {', '.join(missing)}."
    if runs.ignored:
        yield (
            f"{runs.ignored} other records match, of other images, with fewer columns or older; "
            "they are left out."
        )
    for system in study.systems:
        run = runs.get(system)
        if run and run.record.status == "at_chance":
            yield f"{system.label} is at chance: nothing about its robustness can be claimed."


def _table(study: Study, columns: Sequence[Column], runs: Runs) -> Iterator[str]:
    yield f"| model | {' | '.join(column.label for column in columns)} |"
    yield "|---" * (len(columns) + 1) + "|"
    paper = {(cell.system.label, cell.column): cell.value for cell in study.cells}
    for system in study.systems:
        cells = (
            _cell(runs.score(system, column), paper.get((system.label, column)))
            for column in columns
        )
        yield f"| {system.label} | {' | '.join(cells)} |"


def _cell(ours: Score | None, paper: float | None) -> str:
    theirs = "-" if paper is None else f"{100 * paper:.1f}"
    if ours is None:
        return f"not run / {theirs}"
    low, high = ours.interval
    text = f"{100 * ours.value:.1f} [{100 * low:.1f}, {100 * high:.1f}] / {theirs}"
    return text if paper is None else f"{text} / {100 * (ours.value - paper):+.1f}"


def _claim(claim: Claim, runs: Runs) -> Iterator[str]:
    verdict, findings = claim.judge(runs)
    yield f"**{claim.name}: {verdict}.** {claim.words}\n"
    if verdict != "reproduced" and claim.reason:
        yield f"Reason: {claim.reason}\n"
    marks = {True: "holds", False: "does not hold", None: "cannot be told"}
    for finding in findings:
        yield f"- {marks[finding.holds]}: {finding.text}"
    yield ""
