"""Song, Fallon and Li (2021), "Improving Adversarial Robustness in Weight-quantized Neural
Networks", RSEML at AAAI 2021: the studies of its tables."""

from __future__ import annotations

from functools import partial

from robench.studies.claims import Claim
from robench.studies.study import Study
from robench_studies.song2021.ablations import (
    bits_study,
    dw_study,
    layers_study,
    mu_study,
    qat_study,
    scales_study,
)
from robench_studies.song2021.audited import audited_table
from robench_studies.song2021.claims import cifar10_claims, mnist_claims
from robench_studies.song2021.extras import headline
from robench_studies.song2021.grid import Grid
from robench_studies.song2021.norms import norms_table
from robench_studies.song2021.reasons import explained

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

MNIST = Grid("mnist", "cnn4", budget=1.5)
CIFAR10 = Grid("cifar10", "wide_resnet32", budget=0.5, profile="cifar10")
CIFAR10_CPU = Grid("cifar10", "resnet9", budget=0.5, profile="cifar10_cpu")

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

IN_FULL = ("song2021_cifar10", "song2021_mu", "song2021_bits_cifar10", "song2021_dw_cifar10")
ON_CPU = (
    "song2021_cifar10_cpu",
    "song2021_mu_cpu",
    "song2021_bits_cifar10_cpu",
    "song2021_dw_cifar10_cpu",
)


def _tables(
    grid: Grid, name: str, tables: tuple[str, str], claims: list[Claim], settings: dict[str, str]
) -> Study:
    further = [grid.control] if grid.dataset == "mnist" else grid.last_three
    return Study(
        name=name,
        title=f"Song et al. 2021 on {grid}",
        source=SOURCE,
        systems=[*grid.systems.values(), *further],
        tables={
            f"Table {tables[0]}: white box": grid.white_box,
            f"Table {tables[1]}: black box and noise": grid.black_box,
        },
        cells=list(grid.cells()),
        claims=explained(name, claims),
        settings=settings,
        extra=(partial(audited_table, grid), partial(headline, grid), partial(norms_table, grid)),
        overrides=grid.preset(f"song2021_{grid.dataset}"),
    )


def _on_cifar10(grid: Grid, names: tuple[str, ...], settings: dict[str, str]) -> list[Study]:
    tables, mu, bits, dw = names
    return [
        _tables(grid, tables, ("3", "4"), cifar10_claims(grid), settings),
        mu_study(grid, mu, SOURCE, settings),
        bits_study(grid, bits, SOURCE, settings),
        dw_study(grid, dw, SOURCE, settings, last=5),
    ]


STUDIES = {
    study.name: study
    for study in (
        _tables(MNIST, "song2021_mnist", ("1", "2"), mnist_claims(MNIST), ON_MNIST),
        bits_study(MNIST, "song2021_bits", SOURCE, ON_MNIST),
        scales_study(MNIST, SOURCE, ON_MNIST),
        layers_study(MNIST, SOURCE, ON_MNIST),
        dw_study(MNIST, "song2021_dw", SOURCE, ON_MNIST),
        qat_study(MNIST, SOURCE, ON_MNIST),
        *_on_cifar10(CIFAR10, IN_FULL, ON_CIFAR10),
        *_on_cifar10(CIFAR10_CPU, ON_CPU, ON_CIFAR10_CPU),
    )
}
