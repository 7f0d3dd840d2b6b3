"""The claims of Song et al. (2021), S1 to S8, as checks on the records."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from robench.studies.claims import Check, Claim, Difference
from robench_studies.song2021.extras import improves
from robench_studies.song2021.grid import MARGIN, TRAININGS, Grid
from robench_studies.song2021.norms import largest_norm

COLLAPSE = 0.20
"""A loss of more than this share of the images is a collapse."""
SAME = 0.05
"""Accuracies that differ by less than this share of the images are called unchanged."""
WORKS = 0.15
"""What feedback learning must add to accuracy under attack, and its control must not."""
ITERATED = ("PGD", "BIM", "MIM")


def mnist_claims(grid: Grid) -> list[Claim]:
    """The claims that the tables of MNIST can decide."""
    raised = ("FGSM (s)", *ITERATED)
    return [
        Claim(
            "S1",
            "At 3 bits Adv. collapses (98.40 -> 42.69 clean) while Orig. and F.L. hold.",
            [*_collapses(grid, "Adv."), *_holds(grid, "Orig."), *_holds(grid, "F.L.")],
        ),
        Claim(
            "S2",
            "F.L. beats Orig. under white-box attacks at no clean cost (FGSM(s) 7.67 -> 39.43, "
            "PGD 4.38 -> 39.92).",
            _beats(grid, ("FGSM (s)", "PGD")),
        ),
        Claim(
            "S3",
            "+mu helps F.L. under FGSM(s), PGD, BIM, MIM, not under CW-L2 nor FGSM(w); it does "
            "nothing for Orig. and Adv.",
            [
                *_mapping(grid, "F.L.", raised, least=0.0),
                *_mapping(grid, "F.L.", ("CW-L2", "FGSM (w)"), most=SAME),
                *_mapping(grid, "Orig.", raised, least=-SAME, most=SAME),
                *_mapping(grid, "Adv.", raised, least=-SAME, most=SAME),
            ],
        ),
        _black_box(grid),
        Claim("S5", "Orig.+mu bears the signature of gradient masking.", []),
        Claim("S6", "Accuracy under attack rises with mu.", []),
        Claim(
            "S7",
            "The ||dW|| of Adv. models is the largest.",
            [partial(largest_norm, grid)],
        ),
        Claim(
            "S8",
            "F.L.+mu (Q) improves on F.L. (Q) by 7.55 points on average (7.67 over the 13 columns "
            "of the tables).",
            [partial(improves, grid)],
        ),
        _works(grid),
    ]


def cifar10_claims(grid: Grid) -> list[Claim]:
    """The claims that the tables of CIFAR-10 can decide."""
    everything = ("CW-L2", "FGSM (w)", "FGSM (s)", *ITERATED)
    return [
        Claim(
            "S1",
            "At 3 bits Adv. collapses, on CIFAR-10 Orig. falls too (95.00 -> 47.92), F.L. barely "
            "(93.77 -> 90.14).",
            [*_collapses(grid, "Adv."), *_collapses(grid, "Orig."), *_holds(grid, "F.L.")],
        ),
        Claim(
            "S2",
            "F.L. beats Orig. under white-box attacks at no clean cost (FGSM(s) 10.6 -> 27.5).",
            _beats(grid, ("FGSM (s)",)),
        ),
        Claim(
            "S3",
            "+mu helps F.L. under all six white-box attacks.",
            list(_mapping(grid, "F.L.", everything, least=0.0)),
        ),
        _black_box(grid),
        Claim(
            "S5",
            "Orig.+mu keeps 94.9-95.3 % under white-box FGSM, BIM, MIM, above its clean 94.05, "
            "while CW-L2 leaves 5.30 and black-box FGSM(s) 38.62: the signature of gradient "
            "masking.",
            list(_masking(grid)),
        ),
        Claim("S7", "The ||dW|| of Adv. models is the largest.", [partial(largest_norm, grid)]),
        Claim(
            "S8",
            "F.L.+mu (Q) improves on F.L. (Q) by 27.84 points on average over the 13 columns.",
            [partial(improves, grid)],
        ),
    ]


def _collapses(grid: Grid, training: str) -> Iterator[Check]:
    yield grid.difference((training, False, 3), (training, False, 32), "Clean", most=-COLLAPSE)


def _holds(grid: Grid, training: str) -> Iterator[Check]:
    yield grid.difference((training, False, 3), (training, False, 32), "Clean", least=-SAME)


def _beats(grid: Grid, labels: tuple[str, ...]) -> list[Check]:
    """F.L. above Orig. in these columns, its clean accuracy within two points."""
    feedback, plain = ("F.L.", False, 32), ("Orig.", False, 32)
    better = [grid.difference(feedback, plain, label, least=0.0) for label in labels]
    return [*better, grid.difference(feedback, plain, "Clean", least=-0.02)]


def _works(grid: Grid) -> Claim:
    """Our own test of feedback learning: well above Orig., also on the margin, noise is not."""
    plain, trained = grid.systems["Orig.", False, 32], grid.systems["F.L.", False, 32]
    columns = [grid.column("FGSM (s)"), grid.column("PGD"), MARGIN]
    words = (
        "Ours: feedback learning adds at least 15 points under FGSM(s), PGD and PGD on the margin; "
        "retraining on as many examples of noise (the control) does not."
    )
    better = [Difference((trained, c), (plain, c), least=WORKS) for c in columns]
    control = [Difference((grid.control, c), (plain, c), most=WORKS) for c in columns]
    return Claim("F.L. works", words, [*better, *control])


def _mapping(
    grid: Grid, training: str, labels: tuple[str, ...], least: float = -1.0, most: float = 1.0
) -> Iterator[Check]:
    for bits in (32, 3):
        for label in labels:
            mapped, plain = (training, True, bits), (training, False, bits)
            yield grid.difference(mapped, plain, label, least=least, most=most)


def _black_box(grid: Grid) -> Claim:
    checks = [
        grid.difference(
            (training, True, bits),
            (training, False, bits),
            column.label,
            "transfer",
            least=-SAME,
            most=SAME,
        )
        for training in TRAININGS
        for bits in (32, 3)
        for column in grid.black_box
        if column.access == "transfer"
    ]
    return Claim("S4", "Black-box accuracy is unchanged by +mu.", checks)


def _masking(grid: Grid) -> Iterator[Check]:
    """Near clean accuracy under gradient attacks, far below it under CW and from a surrogate."""
    mapped = grid.systems["Orig.", True, 32]
    clean = (mapped, grid.column("Clean"))
    for label in ("FGSM (w)", "FGSM (s)", "BIM", "MIM"):
        yield Difference((mapped, grid.column(label)), clean, least=-SAME)
    yield Difference((mapped, grid.column("CW-L2")), clean, most=-COLLAPSE)
    yield Difference((mapped, grid.column("FGSM (s)", "transfer")), clean, most=-COLLAPSE)
