"""What an engineer hopes of a toolchain, as conditions on paired differences: file - parent."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

from robench.studies import Claim, Condition, Difference, Measure
from robench_studies.toolchains.systems import AGAIN, FLOAT, MADE, PLAIN, TRAINED, Setup

NEAR = 0.03
"""A difference below which two networks count as equally good, as a share."""


def claims(setup: Setup) -> list[Claim]:
    """The claims, on one data set."""
    clean, *held = setup.measures
    weak = held[:1]

    def pairs(
        defenses: Iterable[str], measures: Iterable[Measure], least: float, most: float
    ) -> list[Condition]:
        return [
            Difference(
                (setup.variant(d, t), measure), (setup.variant(d, FLOAT), measure), least, most
            )
            for measure in measures
            for d in defenses
            for t in MADE
        ]

    trained = [setup.variant(TRAINED, toolchain) for toolchain in MADE]
    alike: list[Condition] = [
        Difference((a, m), (b, m), -NEAR, NEAR) for m in weak for a, b in combinations(trained, 2)
    ]
    again: list[Condition] = [
        Difference((setup.variant(TRAINED, q), m), (setup.variant(TRAINED, FLOAT), m), least=-NEAR)
        for m in weak
        for q in AGAIN
    ]
    return [
        Claim("clean", "No file loses clean accuracy.", pairs((PLAIN, TRAINED), [clean], -NEAR, 1)),
        Claim(
            "kept",
            "A file keeps the robustness that was trained into its parent.",
            pairs([TRAINED], weak, -NEAR, 1),
        ),
        Claim(
            "no gift",
            "Compression alone makes no network robust: no file holds more than its parent.",
            pairs((PLAIN, TRAINED), held, -1, NEAR),
        ),
        Claim("alike", "It does not matter which toolchain made the file.", alike),
        Claim("again", "Training again under fake quantization keeps the robustness, too.", again),
    ]
