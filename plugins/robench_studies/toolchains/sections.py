"""Every file beside its float parent: paired differences, and what may be said of them."""

from __future__ import annotations

from collections.abc import Iterator

from robench.studies import Measure, Run, Runs, in_points
from robench_studies.toolchains.claims import NEAR
from robench_studies.toolchains.systems import AGAIN, DEFENSES, FLOAT, MADE, Setup

TRAINING = ("dataset", "model", "defense", "train", "seed")
"""Parts of a configuration that decide the weights."""


def differences(setup: Setup, runs: Runs) -> str:
    """File minus parent in points, with the paired 95 % interval and a verdict."""
    measures = setup.measures
    lines = [
        "## File minus parent\n",
        "Points, with the paired 95 % interval on the same images. *Same*: the interval lies "
        f"within {100 * NEAR:g} points of none; *loses*, *gains*: it lies on one side of none; "
        "*open*: the images cannot tell.\n",
        f"| file | made of | {' | '.join(measure.label for measure in measures)} |",
        "|---" * (len(measures) + 2) + "|",
    ]
    for defense in DEFENSES:
        for toolchain in MADE | AGAIN:
            cells = [setup.variant(defense, toolchain).label]
            cells += [_made_of(setup, runs, defense, toolchain)]
            cells += [_difference(setup, runs, defense, toolchain, m) for m in measures]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def files(setup: Setup, runs: Runs) -> str:
    """What each file is, how far its twin can be believed, and what its audit says."""
    lines = [
        "## Files\n",
        "| file | runtime | bytes | twin agrees, clean / adversarial | audit |",
        "|---|---|---|---|---|",
    ]
    for defense in DEFENSES:
        for toolchain in (FLOAT, *MADE, *AGAIN):
            variant = setup.variant(defense, toolchain)
            if run := runs.get(variant):
                lines.append(f"| {variant.label} | {' | '.join(_about(run))} |")
    return "\n".join(lines)


def _difference(setup: Setup, runs: Runs, defense: str, toolchain: str, measure: Measure) -> str:
    file, parent = setup.variant(defense, toolchain), setup.variant(defense, FLOAT)
    pair = runs.difference((file, measure), (parent, measure))
    if pair is None:
        return "not run"
    if pair.low > -NEAR and pair.high < NEAR:
        word = "same"
    elif pair.high < 0 or pair.low > 0:
        word = "loses" if pair.high < 0 else "gains"
    else:
        word = "open"
    return f"{in_points(pair)} {word}"


def _made_of(setup: Setup, runs: Runs, defense: str, toolchain: str) -> str:
    """Whether a file was made of its parent's own weights, as far as the records tell."""
    file = runs.get(setup.variant(defense, toolchain))
    parent = runs.get(setup.variant(defense, FLOAT))
    if file is None or parent is None:
        return "-"
    if toolchain in AGAIN:
        return "trained again"
    made_of = file.record.file.parent if file.record.file else ""
    if not made_of:
        return "not said"
    same = made_of == parent.record.files.get("model.safetensors")
    return "its parent" if same else "OTHER WEIGHTS"


def _about(run: Run) -> Iterator[str]:
    record = run.record
    file, agree = record.file, record.agreement
    yield f"{file.runtime} {file.version}" if file else "robench"
    yield f"{file.bytes:,}" if file else "-"
    adversarial = "-" if agree.adversarial is None else f"{100 * agree.adversarial:.1f} %"
    yield f"{100 * agree.equal_labels:.1f} % / {adversarial}"
    said = [f"{audit.norm} {audit.eps:.3g}: {audit.verdict}" for audit in record.audit]
    yield "; ".join(said) or "-"
