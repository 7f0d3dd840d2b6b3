"""Song, Fallon and Li (2021), "Improving Adversarial Robustness in Weight-quantized Neural
Networks", RSEML at AAAI 2021: the studies of its tables and figures.

Numbers that stand only in figures have no cells of the paper's: ours alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from robench.studies import Claim, Measure, PaperCell, Runs, Study, Variant
from robench_studies import REASONS
from robench_studies.song2021.claims import (
    bits_claims,
    cifar10_claims,
    layers_claim,
    mnist_claims,
    mu_claim,
    norm_claim,
)
from robench_studies.song2021.sections import (
    all_norms,
    amplification,
    audited_table,
    headline,
    norms_table,
)
from robench_studies.song2021.tables import (
    CLEAN,
    MARGIN,
    MU,
    TRAININGS,
    Setup,
    black_box,
    cells,
    last_three,
    measure,
    measures,
    noise_control,
    twelve,
    variant,
    white_box,
)

SOURCE = (
    'Song, Fallon, Li, "Improving Adversarial Robustness in Weight-quantized Neural Networks", '
    "RSEML at AAAI 2021"
)
SHARED = {
    "PGD; BIM; MIM": "40 steps of 2.5 eps/steps; 10 of eps/steps; 10 of eps/steps, decay 1.0",
    "surrogate of the black-box columns": "the same architecture, plainly trained, another seed",
    "quantization": "3 bits, symmetric, per tensor, scale by the maximum, weights only",
    "mu; mapped layers": "255; the last",
    "feedback learning": "directions, rounds and limits as `robench plugins defense` prints them",
    "accuracy under attack": "every attacked image counts by its attacked label alone",
}

UNAUDITED = {
    "audit": "left to a second step (`robench audit RECORD`): accuracy under FGSM, PGD, BIM and "
    "MIM that PGD on the margin does not leave too is no robustness"
}

MNIST = Setup("mnist", "cnn4", budget=1.5)
CIFAR10 = Setup("cifar10", "wide_resnet32", budget=0.5, profile="cifar10")
CIFAR10_CPU = Setup("cifar10", "resnet9", budget=0.5, profile="cifar10_cpu")

ON_MNIST = {
    "model": "cnn4: convolutions 5x5x32 and 5x5x64, each max-pooled, fc 512, fc 10",
    "eps (Linf): FGSM weak / medium / strong; PGD, BIM, MIM": "0.1 / 0.2 / 0.3; 0.3",
    "CW-L2 column": "accuracy at L2 1.5, at most 150 steps",
    "noise": "normal with sd 0.3, uniform with half-width 0.3",
    "adversarial training": "PGD with 3 steps, Linf 0.3, eps rising over a fifth of it",
} | SHARED
ON_CIFAR10 = {
    "model": "wide ResNet-32: 3 stages of 5 blocks; the width stands in the records",
    "eps (Linf): FGSM weak / medium / strong; PGD, BIM, MIM": "2 / 4 / 8; 8, over 255",
    "CW-L2 column": "accuracy at L2 0.5, at most 150 steps",
    "noise": "normal with sd 0.1, uniform with half-width 0.1",
    "adversarial training": "PGD with 3 steps, Linf 8/255, eps rising over a fifth of it",
} | SHARED
ON_CIFAR10_CPU = ON_CIFAR10 | {
    "model": "ResNet-9 of width 16, 12 epochs: a smaller profile than the paper's wide ResNet-32, "
    "of which an epoch takes a CPU core 6 minutes at width 1, here 2"
}

SETTINGS = {MNIST: ON_MNIST, CIFAR10: ON_CIFAR10, CIFAR10_CPU: ON_CIFAR10_CPU}

MUS = (1, 4, 16, 64, 255, 1024)
LAYERS: tuple[int | str, ...] = (1, 2, 3, 4, "conv", "linear")


def _study(
    setup: Setup,
    name: str,
    subject: str,
    variants: Iterable[Variant],
    tables: Mapping[str, Sequence[Measure]],
    claims: Sequence[Claim] = (),
    paper: Sequence[PaperCell] = (),
    sections: Sequence[Callable[[Runs], str]] = (),
    preset: str = "",
) -> Study:
    """A study of this paper; of figures, where it has no cells, the audit is a second step."""
    return Study(
        name=name,
        title=f"Song et al. 2021{subject}",
        source=SOURCE,
        variants=list(variants),
        tables=tables,
        cells=paper,
        claims=claims,
        settings=SETTINGS[setup] if paper else UNAUDITED | SETTINGS[setup],
        sections=sections,
        overrides=setup.preset(preset or name),
        reasons=REASONS,
    )


def _tables(setup: Setup, name: str, numbers: tuple[str, str], claims: list[Claim]) -> Study:
    """The twelve models and the paper's two tables of a data set."""
    further = [noise_control(setup)] if setup.dataset == "mnist" else last_three(setup)
    return _study(
        setup,
        name,
        f" on {setup}",
        [*twelve(setup).values(), *further],
        {
            f"Table {numbers[0]}: white box": white_box(setup),
            f"Table {numbers[1]}: black box and noise": black_box(setup),
        },
        claims,
        list(cells(setup)),
        (partial(audited_table, setup), partial(headline, setup), partial(norms_table, setup)),
        f"song2021_{setup.dataset}",
    )


def _mu(setup: Setup, name: str) -> Study:
    """Every column against mu, the last layer mapped; mu 0 is no map."""
    variants = {
        (training, mu): variant(
            setup, training, mu=float(mu) if mu else None, label=f"{training}, mu {mu}"
        )
        for training in TRAININGS
        for mu in (0, *MUS)
    }
    return _study(
        setup,
        name,
        f": accuracy against mu on {setup}",
        variants.values(),
        {"White box": white_box(setup), "Black box and noise": black_box(setup)},
        [mu_claim(setup, variants, MUS[-1])],
        preset="song2021_mu",
    )


def _bits(setup: Setup, name: str) -> Study:
    """Clean and attacked accuracy against the bits of a weight, for the three trainings."""
    variants = {
        (training, bits): variant(setup, training, bits=bits, label=f"{training}, {bits} bits")
        for training in TRAININGS
        for bits in (32, 8, 7, 6, 5, 4, 3, 2)
    }
    return _study(
        setup,
        name,
        f": accuracy against bits on {setup}",
        variants.values(),
        {"White box": [*measures(setup, ("Clean", "FGSM (s)", "PGD")), MARGIN]},
        bits_claims(setup, variants),
        preset="song2021_bits",
    )


def _scales(setup: Setup) -> Study:
    """What makes adversarially trained weights collapse at 3 bits: the rule of the scale."""
    variants = [
        variant(
            setup,
            training,
            bits=3,
            per_channel=per_channel,
            scale=scale,
            label=f"{training}, a scale per {'channel' if per_channel else 'layer'} by {scale}",
        )
        for training in TRAININGS
        for per_channel in (False, True)
        for scale in ("max", "mse")
    ]
    return _study(
        setup,
        "song2021_scales",
        f": the scale of 3-bit weights on {setup.dataset}",
        variants,
        {"White box": [*measures(setup, ("Clean", "FGSM (s)", "PGD")), MARGIN]},
    )


def _layers(setup: Setup) -> Study:
    """Which layers to map: convolutions against linear layers, one to all."""
    variants = {
        (training, layers): variant(
            setup,
            training,
            mu=MU,
            layers=layers,
            label=f"{training}, {'last' if isinstance(layers, int) else 'all'} {layers}",
        )
        for training in TRAININGS
        for layers in LAYERS
    }
    return _study(
        setup,
        "song2021_layers",
        f": which layers to map on {setup.dataset}",
        variants.values(),
        {"White box": white_box(setup)},
        [layers_claim(variants)],
    )


def _dw(setup: Setup, name: str, last: int | None = None) -> Study:
    """The norms of dW of the `last` layers (all) at 3 bits, and what they make of attacks."""
    variants = [
        replace(one, chosen={**one.chosen, "attack": ("pgd",)})  # whose examples layers amplify
        for (_, _, bits), one in twelve(setup).items()
        if bits == 3
    ]
    return _study(
        setup,
        name,
        f": the norms of dW on {setup}",
        variants,
        {"White box": [CLEAN, measure(setup, "PGD")]},
        [norm_claim(setup)],
        sections=(partial(all_norms, variants, last), partial(amplification, variants, last)),
        preset="song2021_dw",
    )


def _qat(setup: Setup) -> Study:
    """Training with and without quantization; transferred examples of growing eps."""
    compressed = (
        ("none", 32, "float"),
        ("ptq", 3, "3 bits after training"),
        ("qat_int8", 32, "8 bits in training"),
    )
    variants = [
        replace(one, chosen={**one.chosen, "compressor": (compressor,)})
        for training in ("Adv.", "F.L.")
        for compressor, bits, words in compressed
        for one in [variant(setup, training, bits=bits, label=f"{training}, {words}")]
    ]
    tables = {
        words: [
            CLEAN,
            *(Measure(f"FGSM {eps}", "fgsm", access, eps) for eps in (0.1, 0.2, 0.3, 0.4)),
            Measure("PGD", "pgd", access),
            Measure("PGD, margin loss", "pgd_margin", access),
        ]
        for words, access in (("White box", "white_box"), ("Transferred", "transfer"))
    }
    subject = f": quantization in training on {setup.dataset}"
    return _study(setup, "song2021_qat", subject, variants, tables)


def _on_cifar10(setup: Setup, end: str) -> list[Study]:
    """The studies of CIFAR-10; `end` tells the profile's from the full ones."""
    return [
        _tables(setup, f"song2021_cifar10{end}", ("3", "4"), cifar10_claims(setup)),
        _mu(setup, f"song2021_mu{end}"),
        _bits(setup, f"song2021_bits_cifar10{end}"),
        _dw(setup, f"song2021_dw_cifar10{end}", last=5),
    ]


STUDIES = {
    study.name: study
    for study in (
        _tables(MNIST, "song2021_mnist", ("1", "2"), mnist_claims(MNIST)),
        _bits(MNIST, "song2021_bits"),
        _scales(MNIST),
        _layers(MNIST),
        _dw(MNIST, "song2021_dw"),
        _qat(MNIST),
        *_on_cifar10(CIFAR10, ""),
        *_on_cifar10(CIFAR10_CPU, "_cpu"),
    )
}
