"""What the audit's own checks say: a finding's sentence follows from its numbers.

So nobody can write another one into a record. Sentences of plugins' checks are their own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import cache, lru_cache
from itertools import zip_longest
from string import Formatter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from robench.core.record import Finding

PLANTED = "planted"
"""The check of the usual attack; a row's own is `planted_` and the attack's name."""
ACQUITTED = "; the gradients are sound: a weak attack, not masked"
"""What is added where another attack by the same gradients wins."""
RANDOM = "; of random answers that convicts nobody whose mean gradient is not shown to mislead"
"""What is added where a finding against a randomised system weighs less than it would."""

SENTENCES: dict[str, tuple[str, ...]] = {
    "random_prediction": (
        "two answers to the same image differ on {share} of {n} images{undeclared}",
    ),
    "depends_on_batch": (
        "{share} of {n} images get another answer in another order and batch size; a model whose "
        "answers depend on the neighbours cannot be measured image by image",
    ),
    "remembers": (
        "on the same attacked images the system, which was asked before, has {points} {more} "
        "accuracy than a copy that was not",
    ),
    "tires": (
        "on a copy that was asked nothing examples made on the system, which was asked before, "
        "leave {points} {more} accuracy than examples made on a copy",
    ),
    "process": (
        "on the same attacked images the system, which was asked before, has {points} {more} "
        "accuracy than in a process where it was not",
    ),
    "process_tires": (
        "in a process where the system was asked nothing examples made on the system, which was "
        "asked before, leave {points} {more} accuracy than examples made there",
    ),
    "longer": (
        "a search of {number} moves leaves {points} {more} accuracy than the usual attack of fewer",
    ),
    "changing_scores": (
        "on {share} of {n} images the scores are others after an attack was asked than before",
    ),
    "zero_gradients": ("the gradient is exactly zero on {share} of {n} images ({part} of pixels)",),
    "nonfinite_gradients": (
        "the gradient holds NaN or infinity on {share} of {n} images ({part} of pixels)",
        "the gradient holds NaN or infinity on {share} of {n} images",
    ),
    "saturated_logits": (
        "the softmax of the logits is saturated in float32 on {share} of {n} images",
    ),
    "saturated_gradients": (
        "float32 rounds the loss to 0 at every step on {part} of images, and with it the label's "
        "part of the gradient; {share} of {n} are such and fall to another search",
    ),
    "loss_not_rising": (
        "{share} of the usual attack's first {number} steps do not raise its loss",
    ),
    "twin_disagrees": (
        "{share} of {n} adversarial examples fool the differentiable twin, not the deployed model",
    ),
    "saturates": (
        "{whether}: the faithful twin alone leaves {points} {more} accuracy "
        "than all twins together, and on {part} of images a logit stands at the ceiling",
    ),
    "noise": (
        "on {share} of {n} images random noise breaks what the usual attack leaves right",
        "random noise breaks {share} of {n} images that the usual attack leaves right",
    ),
    "bent_gradients": (
        "on {share} of {n} images finite differences of the deployed model add up, and the "
        "gradient does not predict them (median correlation {number})",
    ),
    "fractured_gradients": (
        "on {share} of {n} images the gradient says little about a small step: what follows it is "
        "no evidence there",
        "on {share} of {n} images the gradient predicts little of what a small step changes, so "
        "that what it fails to break says little",
    ),
    "mean_gradients": (
        "of {n} images the mean of {second} gradients predicts what the mean of as many random "
        "answers does (correlation {number})",
    ),
    "watched": ("on {share} of {n} images the scores are others while a gradient is asked for",),
    "jumping_scores": (
        "on {share} of {n} ways to another image the label changes where the highest score leads "
        "as far as ever: scores do not say where errors lie",
    ),
    "stalled": (
        "on {share} of {n} images the usual attack fails and the margin rises by less than {part} "
        "of what the gradient promises",
    ),
    "unbounded_eps": ("with no bound on the perturbation {share} of {n} images still hold",),
    "rises_with_eps": (
        "{number} times eps leaves {points} {more} accuracy than {second} times eps",
        "accuracy rises by {signed} from {number} to {second} times eps",
    ),
    PLANTED: ("{attack} misses {count} of {n} adversarial examples planted in the twin",),
    "margin_loss": (
        "maximising the margin of the logits takes {points} {more} accuracy than cross-entropy",
        "maximising the margin of the logits takes {signed} more accuracy than cross-entropy",
    ),
    "dlr_loss": (
        "maximising the difference of logits ratio takes {points} {more} accuracy than "
        "cross-entropy",
        "maximising the difference of logits ratio takes {signed} more accuracy than cross-entropy",
    ),
    "temperature": (
        "logits divided by {number} let cross-entropy take {points} {more} accuracy",
        "logits divided by {number} let cross-entropy take {signed} more accuracy",
    ),
    "more_effort": (
        "on {share} of {n} images {number} starts of twice the steps break what the usual attack "
        "leaves right",
        "{number} starts of twice the steps break {share} of {n} images that the usual attack "
        "leaves right",
    ),
    "smoother_gradient": (
        "a gradient led through rounding and saturation takes {points} {more} accuracy than the "
        "twin's own",
        "a gradient led through rounding and saturation takes {signed} more accuracy than the "
        "twin's own",
    ),
    "transfer": (
        "examples made on the {source} take {points} {more} accuracy than white-box attacks",
        "examples made on the {source} take {signed} more accuracy than white-box attacks",
    ),
    "adaptive": (
        "the attack that {defense} brings against itself takes {points} {more} accuracy",
        "the attack that {defense} brings against itself takes {signed} more accuracy",
    ),
    "exact": (
        "the network is affine, so that its worst candidates are known: {share} of {n} images "
        "provably hold, {number} are undecided",
    ),
    "strongest": (
        "on {share} of {n} images the strongest search on {forms} breaks what held before",
        "the strongest search on {forms} breaks {share} of {n} images that held before",
    ),
    "strongest_elsewhere": (
        "on {share} of {n} images the strongest search on {forms} breaks what held before",
        "the strongest search on {forms} breaks {share} of {n} images that held before",
    ),
    "square": ("Square breaks {count} of {number} images that gradients leave right",),
    "black_box": (
        "Square, which uses no gradient, takes {points} {more} accuracy than all that do",
        "Square, which uses no gradient, takes {signed} more accuracy than all that do",
    ),
    "labels": (
        "a search that asks for labels alone takes {points} {more} accuracy than all before it",
    ),
    "together": (
        "all searches together break {share} of {n} images that the usual attack leaves right",
    ),
    "beats_best_row": (
        "the run's best row, {row}, leaves {points} {more} accuracy than a search of the audit "
        "alone: {search}",
        "the run's best row, {row}, leaves {signed} more accuracy than a search of the audit "
        "alone: {search}",
    ),
    "missed_by_best_row": (
        "the audit's searches together break {share} of {n} images that the run's best row, {row}, "
        "leaves right",
    ),
    "above_clean": ("accuracy under {attack} is {against} points against clean",),
}
"""By check the present sentence, and those of older records. PATTERNS has what they are free in."""

REWORDED = frozenset(("noise", "more_effort", "strongest", "strongest_elsewhere"))
"""Checks whose older sentence gives a share of all images as one of those that held alone."""

NOTHING = {
    "bent_gradients": "finite differences add up on no image: whether a gradient bends was not "
    "tested",
    "mean_gradients": "the answers are too random: whether the mean gradient predicts the mean "
    "answer was not tested",
    "remembers": "the system refuses to be copied: whether what it was asked changes its answers "
    "was not tested",
    "process": "in a process where it was asked nothing the system gave no answer: whether what it "
    "was asked changes its answers was not tested",
    "adaptive": "no defense of this system brings an attack of its own",
}
"""What a check says that met no image, where it is something else."""

FORMS = (
    "the twin",
    "the smoother twin",
    "the float parent",
    "the plainly trained surrogate",
    "the open output twin",
    "the pass through twin",
)
SEARCHES = (
    *("the usual attack", "margin", "dlr", "temperature", "smoother", "labels"),
    *FORMS[-2:],
)
SOURCES = ("float parent", "plainly trained surrogate")
SATURATES = {True: "the output saturates", False: "no sign that the output saturates"}
"""What is said of a file, by whether its output stops the gradient."""
UNDECLARED = ", although the model declares to be deterministic"


def twin_form(name: str) -> str:
    """What a further twin of a file is called, by its name in the system."""
    return f"the {name.replace('_', ' ')} twin"


def is_own(check: str) -> bool:
    """Whether a finding of this name is one of the audit's own checks."""
    return check in SENTENCES or check.startswith(f"{PLANTED}_") or check.endswith("_loss")


def sentence(check: str, value: float | None, n: int, **free: object) -> str:
    """What a check of the audit's own says of a value from `n` images."""
    kind = _kind(check)
    words = NOTHING[kind] if n == 0 and kind in NOTHING else SENTENCES[kind][0]
    return words.format(**_numbers(value, n), **free)


def spoken(finding: Finding) -> str:
    """A finding's sentence in today's words, a plugin's where it is none of the audit's own."""
    if not is_own(finding.check):
        return f"{finding.check}, a plugin's check: {finding.sentence}"
    return _reworded(finding) if finding.check in REWORDED else finding.sentence


def _reworded(finding: Finding) -> str:
    """The sentence with the present words for older ones that it begins with."""
    for older in _older(finding.check):
        if found := older.match(finding.sentence):
            present = SENTENCES[finding.check][0].format(**found.groupdict())
            return present + finding.sentence[found.end() :]
    return finding.sentence


@cache
def _older(check: str) -> tuple[re.Pattern[str], ...]:
    """What a check's older sentences look like, whatever they say."""
    return tuple(
        re.compile(
            "".join(
                re.escape(text) + (f"(?P<{field}>.+?)" if field else "")
                for text, field in _pieces(words)
            )
        )
        for words in SENTENCES[check][1:]
    )


def follows(finding: Finding, rows: Collection[str], defenses: Collection[str]) -> bool:
    """Whether an own finding's sentence is what its check says of its numbers.

    `rows` are the run's as `attack (access)`, `defenses` its own; a sentence may name no others.
    """
    return _follows(
        finding.check,
        finding.sentence.removesuffix(ACQUITTED).removesuffix(RANDOM),
        repr(finding.value),
        finding.n or 0,
        frozenset(rows),
        frozenset(defenses),
    )


@lru_cache(4096)
def _follows(
    check: str,
    said: str,
    value: str,
    n: int,
    rows: frozenset[str],
    defenses: frozenset[str],
) -> bool:
    """Many records say the same of the same numbers: that nothing was found, above all.

    `value` is a text, since -0.0 and 0.0 are equal but not written alike.
    """
    kind = _kind(check)
    words = [*SENTENCES.get(kind, ()), *([NOTHING[kind]] if kind in NOTHING else [])]
    number = None if value == "None" else float(value)
    numbers, free = _numbers(number, n), _patterns(rows, defenses)
    return any(_says(said, _pieces(one), numbers, free) for one in words)


def _says(
    said: str,
    pieces: tuple[tuple[str, str | None], ...],
    numbers: Mapping[str, str],
    free: Mapping[str, re.Pattern[str]],
) -> bool:
    """Whether a sentence is made of these pieces; only one with two free fields needs a search."""
    whole = [(text, field, numbers.get(field or "")) for text, field in pieces]
    parts, open_fields = [""], list[str]()
    for text, field, number in whole:
        parts[-1] += text + (number or "")
        if field is not None and number is None:
            open_fields.append(field)
            parts.append("")
    if not open_fields:
        return said == parts[0]
    if len(open_fields) == 1:
        start, end = parts
        fits = len(said) >= len(start) + len(end) and said.startswith(start) and said.endswith(end)
        middle = said[len(start) : len(said) - len(end)]
        return fits and free[open_fields[0]].fullmatch(middle) is not None
    patterns = [free[field].pattern for field in open_fields]
    texts = map(re.escape, parts)
    joined = "".join(text + one for text, one in zip_longest(texts, patterns, fillvalue=""))
    return re.fullmatch(joined, said) is not None


@cache
def _pieces(words: str) -> tuple[tuple[str, str | None], ...]:
    """The texts of a sentence and the field after each, None after the last."""
    return tuple((text, field) for text, field, _, _ in Formatter().parse(words))


def _kind(check: str) -> str:
    return PLANTED if check.startswith(f"{PLANTED}_") else check


def _numbers(value: float | None, n: int) -> dict[str, str]:
    """The fields that follow from a finding's numbers."""
    points = 100 * (value or 0.0)
    return {
        "share": "none" if value is None else f"{value:.0%}",
        "count": str(round((value or 0.0) * n)),
        "n": str(n),
        "points": f"{abs(points):.1f} points",
        "more": "less" if points < 0 else "more",
        "signed": f"{points:.1f} points",
        "against": f"{points:+.1f}",
    }


@lru_cache(256)
def _patterns(rows: frozenset[str], defenses: frozenset[str]) -> dict[str, re.Pattern[str]]:
    """The fields that a sentence is free in, as patterns."""
    number = r"\d+(\.\d+)?(e[+-]\d+)?"
    attacks = {"the usual attack", *(row.rpartition(" (")[0] for row in rows)}
    adaptive = {f"adaptive {defense}" for defense in defenses}
    forms = _any(FORMS)
    patterns = {
        "number": f"-?{number}",
        "second": number,
        "part": r"\d+%",
        "undeclared": _any(("", UNDECLARED)),
        "attack": _any(attacks),
        "row": _any(rows),
        "defense": _any(defenses),
        "search": _any((*SEARCHES, *SOURCES, *adaptive)),
        "source": _any(SOURCES),
        "whether": _any(tuple(SATURATES.values())),
        "forms": f"{forms}(, {forms})*",
    }
    return {name: re.compile(pattern) for name, pattern in patterns.items()}


def _any(words: Collection[str]) -> str:
    return f"({'|'.join(map(re.escape, words))})"
