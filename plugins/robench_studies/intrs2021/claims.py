"""The claims of Lin et al. (2021) and of this reproduction, as conditions on records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from robench.studies import (
    Claim,
    Condition,
    Difference,
    Measure,
    Observation,
    PaperCell,
    Runs,
    Variant,
)
from robench_studies.intrs2021.tables import (
    FLOAT,
    INT,
    PLAIN,
    QUANT,
    SIGMAS,
    at_radii,
    by_draws,
)

NEAR = 0.08
"""How far from the paper's share still counts as reproduced."""
CLOSE = 0.05
"""A difference that still counts as comparable accuracy."""
Key = tuple[str, float, float]
"""Which variant: method, training noise, certification noise."""


@dataclass(frozen=True)
class Near:
    """A condition that our share lies within NEAR of the paper's; its interval beyond it fails."""

    cell: PaperCell

    def __call__(self, runs: Runs) -> Observation:
        """Compare the cell."""
        label = f"{self.cell.variant.label} ({self.cell.measure.label})"
        ours = runs.score(self.cell.variant, self.cell.measure)
        if ours is None:
            return Observation(f"{label}: not run", None)
        gap, (low, high) = ours.value - self.cell.value, ours.interval
        text = f"{label}: {100 * ours.value:.1f}, the paper's {100 * self.cell.value:.0f}"
        text = f"{text}, {100 * gap:+.1f} points"
        run = runs.get(self.cell.variant)
        if run and run.record.config["model"].get("torchvision", {}).get("weights", "") is None:
            return Observation(f"{text}: without ImageNet weights, not comparable", None)
        if abs(gap) <= NEAR + 1e-9:  # 0.36 - 0.44 is a little more than 0.08 in floats
            return Observation(text, True)
        if low <= self.cell.value + NEAR and high >= self.cell.value - NEAR:
            return Observation(f"{text}: too few images to tell", None)
        return Observation(text, False)


def prediction_claims(cells: Sequence[PaperCell], variants: Mapping[str, Variant]) -> list[Claim]:
    """Table 1, of variants by method."""
    measures = {measure.label: measure for measure in by_draws()}
    few, many = measures["abstain, n 100"], measures["abstain, n 100000"]
    fewer: list[Condition] = [Difference((v, few), (v, many), 0.0) for v in variants.values()]
    return [
        Claim("Table 1", "Right and abstaining predictions, cell by cell.", [*map(Near, cells)]),
        Claim("abstention", "Abstentions vanish as n grows.", fewer),
    ]


def certified_claims(
    table: str, cells: Sequence[PaperCell], variants: Mapping[Key, Variant], radii: Sequence[float]
) -> list[Claim]:
    """Tables 2 and 3, certified at the noise of the training."""

    def pairs(first: str, second: str, least: float, most: float = 1.0) -> list[Condition]:
        return [
            Difference((variants[first, s, s], m), (variants[second, s, s], m), least, most)
            for s in SIGMAS
            for m in at_radii([radius for radius in radii[:3] if radius < 3 * s])
        ]

    return [
        Claim(f"Table {table}", "Cell by cell.", _near(cells)),
        Claim("comparable", "IntRS keeps FloatRS-fp's accuracy.", pairs(INT, FLOAT, -CLOSE, CLOSE)),
        Claim("(28)", "IntRS is better than FloatRS-quant.", pairs(INT, PLAIN, 0.0)),
        Claim(
            "saturation",
            "Ours, not the paper's: FloatRS-quant loses to its own wide input map, so that a "
            "saturating 8-bit input explains its collapse at sigma 1.",
            pairs(QUANT, PLAIN, 0.0)[-1:],
        ),
    ]


def mismatched_claims(cells: Sequence[PaperCell], variants: Mapping[Key, Variant]) -> list[Claim]:
    """Tables 4 and 5, certified at another noise than that of the training."""
    better: list[Condition] = [
        Difference((variants[INT, t, s], measure), (variants[FLOAT, t, s], measure), 0.0)
        for t in SIGMAS[:2]
        for s in SIGMAS
        for measure in at_radii([0.25])
        if s * 3.5 > 0.25
    ]
    return [
        Claim("Tables 4, 5", "Cell by cell.", _near(cells)),
        Claim("(27)", "IntRS outperforms FloatRS-fp at all certification noises.", better),
    ]


def transfer_claims(
    int8: Variant, floating: Variant, own: Sequence[Measure], other: Sequence[Measure]
) -> list[Claim]:
    """Fig. 1, under attacks on the judged network and on the float one."""
    pairs = list(zip(other, own, strict=True))
    return [
        Claim(
            "Fig. 1",
            "The int8 network is more robust to attacks on the float one.",
            [Difference((int8, theirs), (floating, mine), 0.0) for theirs, mine in pairs],
        ),
        Claim(
            "own attack",
            "Ours: attacks on the int8 twin are stronger on int8 than those on the float network, "
            "so that Fig. 1 shows transfer and not robustness.",
            [Difference((int8, theirs), (int8, mine), 0.0) for theirs, mine in pairs],
        ),
    ]


def percentage_claim(variants: Mapping[tuple[str, float], Variant], at_zero: Measure) -> Claim:
    """Fig. 5, of variants by method and noise."""
    fewer: list[Condition] = [
        Difference((variants[INT, low], at_zero), (variants[INT, high], at_zero), 0.0)
        for low, high in pairwise(SIGMAS)
    ]
    return Claim("Fig. 5", "More noise certifies fewer images at radius 0.", fewer)


def attack_claim(integer: Variant, floating: Variant, measures: Sequence[Measure]) -> Claim:
    """Fig. 10."""
    close: list[Condition] = [
        Difference((integer, m), (floating, m), -CLOSE, CLOSE) for m in measures
    ]
    return Claim("Fig. 10", "IntRS holds against attacks as FloatRS-fp does.", close)


def alpha_claim(variants: Mapping[tuple[str, float], Variant], radii: Sequence[float]) -> Claim:
    """Fig. 11, of variants by method and alpha."""
    alphas = [alpha for _, alpha in variants]
    close: list[Condition] = [
        Difference((variants[m, min(alphas)], c), (variants[m, max(alphas)], c), -CLOSE, CLOSE)
        for m in (INT, FLOAT)
        for c in at_radii(radii)
    ]
    return Claim("Fig. 11", "Certified accuracy hardly depends on alpha.", close)


def _near(cells: Sequence[PaperCell]) -> list[Condition]:
    return [Near(cell) for cell in cells if cell.value]
