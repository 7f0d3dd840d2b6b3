"""A study's report as Markdown: cells beside the paper's, claims with verdicts, settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from robench.base.errors import UserError, bad_input
from robench.studies.claims import Claim
from robench.studies.reasons import Reason, read_reasons
from robench.studies.runs import Runs
from robench.studies.study import Study, StudyCell

OURS = "In percent, with Wilson 95 % interval."
PAPERS = "Ours with Wilson 95 % interval / the paper's / difference, in percent and points."
NO_REASONS = (
    "Reasons are not installed here: they lie in the repository, in leaderboard/studies/reasons; "
    "--records leaderboard/records there finds them."
)
MARKS = {True: "holds", False: "does not hold", None: "cannot be told"}


def report(study: Study, runs: Runs) -> str:
    """The whole report; raises nothing for what was not run, which is said in its place."""
    return "\n".join(_lines(study, runs))


def _lines(study: Study, runs: Runs) -> Iterator[str]:
    yield f"# {study.title}\n"
    yield f"Source: {study.source}. Made by `{study.command}`.\n"
    yield from about(study, runs)
    for name, measures in study.tables.items():
        yield f"\n## {name}\n"
        yield f"{PAPERS if study.cells else OURS}\n"
        yield f"| model | {' | '.join(measure.label for measure in measures)} |"
        yield "|---" * (len(measures) + 1) + "|"
        for variant, cells in study.rows(name, runs):
            texts = [_cell(cell, bool(study.cells)) for cell in cells]
            yield f"| {variant.label} | {' | '.join(texts)} |"
    yield from (f"\n{text}" for text in beside(study, runs) if text)
    yield "\n## Claims\n"
    reasons = read_reasons(study.reasons, study.name)
    if study.claims and not study.has_reasons:
        yield f"{NO_REASONS}\n"
    for claim in study.claims:
        yield from _claim(claim, reasons, runs)
    yield "\n## Free settings\n"
    yield "What the paper does not give, and our value.\n"
    yield "| setting | value |\n|---|---|"
    yield from (f"| {name} | {value} |" for name, value in study.settings.items())


def about(study: Study, runs: Runs) -> Iterator[str]:
    """What the numbers are of: which systems and images there are, and what is left out."""
    found = list(runs)
    missing = [variant.label for variant in study.variants if runs.get(variant) is None]
    if found:
        data = found[0].record.data
        yield (
            f"{len(found)} of {len(study.variants)} systems, {data.images} test images of "
            f"{data.name}, seed {found[0].record.seed}; differences are paired on these images."
        )
    if missing:
        yield f"Not run: {', '.join(missing)}."
    for name, why in runs.records.aside.items():
        yield f"Left out {name}: {why}."
    if runs.ignored:
        yield f"Other records that match and do not count: {runs.ignored}. {_why_ignored(runs)}"
    if runs.unproven:
        yield (
            f"Records that match and are only reported: {runs.unproven}. "
            "No cell or verdict rests on them."
        )
    for variant in study.variants:
        run = runs.get(variant)
        if run and run.record.status == "at_chance":
            yield f"{variant.label} is at chance: nothing about its robustness can be claimed."


def _why_ignored(runs: Runs) -> str:
    others = "They are of other images or another seed, or one of the same system"
    if runs.standing:
        return f"{others} proves more, has more columns or the worse number."
    return f"{others} has more columns or finished later."


def beside(study: Study, runs: Runs) -> list[str]:
    """What stands beside the tables: each of the study's own sections, Markdown or nothing."""
    return [_section(section, runs) for section in study.sections]


def _section(section: Callable[[Runs], str], runs: Runs) -> str:
    try:
        with bad_input("expected a section that can be told"):
            return section(runs)
    except UserError as error:  # a study's own code, on records that anybody may send
        return f"## A section is missing\n\n{error}."


def _cell(cell: StudyCell, with_paper: bool) -> str:
    theirs = "-" if cell.paper is None else f"{100 * cell.paper:.1f}"
    theirs = f" / {theirs}" if with_paper else ""
    if cell.ours is None:
        return f"not run{theirs}"
    low, high = cell.ours.interval
    text = f"{100 * cell.ours.value:.1f} [{100 * low:.1f}, {100 * high:.1f}]{theirs}"
    return text if cell.difference is None else f"{text} / {100 * cell.difference:+.1f}"


def _claim(claim: Claim, reasons: Mapping[str, Reason], runs: Runs) -> Iterator[str]:
    verdict, seen = claim.judge(runs)
    yield f"**{claim.name}: {verdict}.** {claim.words}\n"
    reason = reasons.get(claim.name)
    if reason and verdict != "reproduced":
        fault = reason.fault(runs.records)
        yield f"Reason not shown: {fault}.\n" if fault else f"Reason: {reason.words}\n"
    for one in seen:
        yield f"- {MARKS[one.holds]}: {one.text}"
    yield ""
