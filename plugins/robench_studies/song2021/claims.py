"""The claims of Song et al. (2021), S1 to S8 and those of the figures, as conditions on records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from robench.studies import Claim, Condition, Difference, Observation, Runs, Variant
from robench_studies.song2021.sections import SPECTRAL, by_layer, gain, headline_measures, points
from robench_studies.song2021.tables import (
    CLEAN,
    MARGIN,
    TRAININGS,
    Key,
    Setup,
    black_box,
    measure,
    measures,
    noise_control,
    twelve,
)

COLLAPSE = 0.20
"""A loss of more than this share of the images is a collapse."""
SAME = 0.05
"""Accuracies that differ by less than this share of the images are called unchanged."""
WORKS = 0.15
"""What feedback learning must add to accuracy under attack, and its control must not."""
ITERATED = ("PGD", "BIM", "MIM")


def mnist_claims(setup: Setup) -> list[Claim]:
    """The claims that the tables of MNIST can decide."""
    raised = ("FGSM (s)", *ITERATED)
    return [
        Claim(
            "S1",
            "At 3 bits Adv. collapses (98.40 -> 42.69 clean) while Orig. and F.L. hold.",
            [*_collapses(setup, "Adv."), *_holds(setup, "Orig."), *_holds(setup, "F.L.")],
        ),
        Claim(
            "S2",
            "F.L. beats Orig. under white-box attacks at no clean cost (FGSM(s) 7.67 -> 39.43, "
            "PGD 4.38 -> 39.92).",
            _beats(setup, ("FGSM (s)", "PGD")),
        ),
        Claim(
            "S3",
            "+mu helps F.L. under FGSM(s), PGD, BIM, MIM, not under CW-L2 nor FGSM(w); it does "
            "nothing for Orig. and Adv.",
            [
                *_mapping(setup, "F.L.", raised, least=0.0),
                *_mapping(setup, "F.L.", ("CW-L2", "FGSM (w)"), most=SAME),
                *_mapping(setup, "Orig.", raised, least=-SAME, most=SAME),
                *_mapping(setup, "Adv.", raised, least=-SAME, most=SAME),
            ],
        ),
        _black_box(setup),
        Claim("S5", "Orig.+mu bears the signature of gradient masking.", []),
        Claim("S6", "Accuracy under attack rises with mu.", []),
        norm_claim(setup),
        Claim(
            "S8",
            "F.L.+mu (Q) improves on F.L. (Q) by 7.55 points on average (7.67 over the 13 columns "
            "of the tables).",
            [partial(improves, setup)],
        ),
        _works(setup),
    ]


def cifar10_claims(setup: Setup) -> list[Claim]:
    """The claims that the tables of CIFAR-10 can decide."""
    everything = ("CW-L2", "FGSM (w)", "FGSM (s)", *ITERATED)
    return [
        Claim(
            "S1",
            "At 3 bits Adv. collapses, on CIFAR-10 Orig. falls too (95.00 -> 47.92), F.L. barely "
            "(93.77 -> 90.14).",
            [*_collapses(setup, "Adv."), *_collapses(setup, "Orig."), *_holds(setup, "F.L.")],
        ),
        Claim(
            "S2",
            "F.L. beats Orig. under white-box attacks at no clean cost (FGSM(s) 10.6 -> 27.5).",
            _beats(setup, ("FGSM (s)",)),
        ),
        Claim(
            "S3",
            "+mu helps F.L. under all six white-box attacks.",
            list(_mapping(setup, "F.L.", everything, least=0.0)),
        ),
        _black_box(setup),
        Claim(
            "S5",
            "Orig.+mu keeps 94.9-95.3 % under white-box FGSM, BIM, MIM, above its clean 94.05, "
            "while CW-L2 leaves 5.30 and black-box FGSM(s) 38.62: the signature of gradient "
            "masking.",
            list(_masking(setup)),
        ),
        norm_claim(setup),
        Claim(
            "S8",
            "F.L.+mu (Q) improves on F.L. (Q) by 27.84 points on average over the 13 columns.",
            [partial(improves, setup)],
        ),
    ]


def mu_claim(setup: Setup, variants: Mapping[tuple[str, int], Variant], most: int) -> Claim:
    """S6 of the models without a map (mu 0) and with the largest mu."""
    attacked = measures(setup, ("CW-L2", "FGSM (w)", "FGSM (s)", *ITERATED))
    kept = measures(setup, ("Clean", "Normal", "Uniform"))
    conditions: list[Condition] = []
    for training in ("Orig.", "F.L."):
        mapped, plain = variants[training, most], variants[training, 0]
        conditions += [Difference((mapped, m), (plain, m), least=0.0) for m in attacked]
        conditions += [Difference((mapped, m), (plain, m), least=-SAME) for m in kept]
    words = (
        "Accuracy under attack rises with mu (CIFAR-10, last layer) while clean and noise columns "
        "may fall a little."
    )
    return Claim("S6", words, conditions)


def bits_claims(setup: Setup, variants: Mapping[tuple[str, int], Variant]) -> list[Claim]:
    """What 4 bits cost, of models by training and bits."""
    pgd = measure(setup, "PGD")
    return [
        Claim(
            "bits, clean",
            "Quantization preserves the accuracy till 4-5 bits on clean images (slide 4, of Lin et "
            "al., 2019).",
            [
                Difference((variants[t, 4], CLEAN), (variants[t, 32], CLEAN), least=-SAME)
                for t in TRAININGS
            ],
        ),
        Claim(
            "bits, attacked",
            "It does not preserve the accuracy under attack (the same slide): here 4 bits and PGD, "
            "for Adv. and F.L.; Orig. has nothing to lose.",
            [
                Difference((variants[t, 4], pgd), (variants[t, 32], pgd), most=-SAME)
                for t in ("Adv.", "F.L.")
            ],
        ),
    ]


def layers_claim(variants: Mapping[tuple[str, int | str], Variant]) -> Claim:
    """What mapping all layers of one type costs, of models by training and mapped layers."""
    return Claim(
        "layers",
        "Mapping convolutions costs more accuracy than mapping fully connected layers.",
        [
            Difference((variants[t, "linear"], CLEAN), (variants[t, "conv"], CLEAN), 0.0)
            for t in TRAININGS
        ],
    )


def norm_claim(setup: Setup) -> Claim:
    """S7, of the quantised models without a map."""
    words = "The ||dW|| of Adv. models is the largest."
    return Claim("S7", words, [partial(largest_norm, setup)])


def largest_norm(setup: Setup, runs: Runs) -> Observation:
    """Whether in every layer the quantization error of Adv. has the largest spectral norm."""
    norms = {
        training: by_layer(runs, twelve(setup)[training, False, 3], "weight_perturbation", SPECTRAL)
        for training in TRAININGS
    }
    layers = set.intersection(*map(set, norms.values()))
    if not layers:
        return Observation("||dW||_2 of all three trainings: not measured", None)
    largest = [
        layer
        for layer in layers
        if norms["Adv."][layer] >= max(norms[training][layer] for training in TRAININGS)
    ]
    text = f"||dW||_2 of Adv. is the largest in {len(largest)} of {len(layers)} layers"
    return Observation(text, len(largest) == len(layers))


def improves(setup: Setup, runs: Runs) -> Observation:
    """Whether mapping raises the mean over all 13 columns of the quantised F.L. model."""
    mean = gain(setup, runs, headline_measures(setup), audited=False)
    if mean is None:
        return Observation("mean of F.L.+mu (Q) - F.L. (Q) over 13 columns: not run", None)
    text = f"mean of F.L.+mu (Q) - F.L. (Q) over 13 columns: {points(*mean)}, expected above 0"
    return Observation(text, mean[1] > 0)


def difference(
    setup: Setup,
    first: Key,
    second: Key,
    label: str,
    access: str = "white_box",
    *,
    least: float = -1.0,
    most: float = 1.0,
) -> Difference:
    """A condition on one column of two of the twelve models."""
    models, column = twelve(setup), measure(setup, label, access)
    return Difference((models[first], column), (models[second], column), least, most)


def _collapses(setup: Setup, training: str) -> Iterator[Condition]:
    yield difference(setup, (training, False, 3), (training, False, 32), "Clean", most=-COLLAPSE)


def _holds(setup: Setup, training: str) -> Iterator[Condition]:
    yield difference(setup, (training, False, 3), (training, False, 32), "Clean", least=-SAME)


def _beats(setup: Setup, labels: tuple[str, ...]) -> list[Condition]:
    """F.L. above Orig. in these columns, its clean accuracy within two points."""
    feedback, plain = ("F.L.", False, 32), ("Orig.", False, 32)
    better = [difference(setup, feedback, plain, label, least=0.0) for label in labels]
    return [*better, difference(setup, feedback, plain, "Clean", least=-0.02)]


def _works(setup: Setup) -> Claim:
    """Our own test of feedback learning: well above Orig., also on the margin, noise is not."""
    plain, trained = twelve(setup)["Orig.", False, 32], twelve(setup)["F.L.", False, 32]
    columns = [measure(setup, "FGSM (s)"), measure(setup, "PGD"), MARGIN]
    words = (
        "Ours: feedback learning adds at least 15 points under FGSM(s), PGD and PGD on the margin; "
        "retraining on as many examples of noise (the control) does not."
    )
    better = [Difference((trained, c), (plain, c), least=WORKS) for c in columns]
    noise = [Difference((noise_control(setup), c), (plain, c), most=WORKS) for c in columns]
    return Claim("F.L. works", words, [*better, *noise])


def _mapping(
    setup: Setup, training: str, labels: tuple[str, ...], least: float = -1.0, most: float = 1.0
) -> Iterator[Condition]:
    for bits in (32, 3):
        for label in labels:
            mapped, plain = (training, True, bits), (training, False, bits)
            yield difference(setup, mapped, plain, label, least=least, most=most)


def _black_box(setup: Setup) -> Claim:
    checks = [
        difference(
            setup,
            (training, True, bits),
            (training, False, bits),
            column.label,
            "transfer",
            least=-SAME,
            most=SAME,
        )
        for training in TRAININGS
        for bits in (32, 3)
        for column in black_box(setup)
        if column.access == "transfer"
    ]
    return Claim("S4", "Black-box accuracy is unchanged by +mu.", checks)


def _masking(setup: Setup) -> Iterator[Condition]:
    """Near clean accuracy under gradient attacks, far below it under CW and from a surrogate."""
    mapped = twelve(setup)["Orig.", True, 32]
    clean = (mapped, measure(setup, "Clean"))
    for label in ("FGSM (w)", "FGSM (s)", "BIM", "MIM"):
        yield Difference((mapped, measure(setup, label)), clean, least=-SAME)
    yield Difference((mapped, measure(setup, "CW-L2")), clean, most=-COLLAPSE)
    yield Difference((mapped, measure(setup, "FGSM (s)", "transfer")), clean, most=-COLLAPSE)
