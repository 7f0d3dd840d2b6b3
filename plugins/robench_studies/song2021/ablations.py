"""The studies of Song et al. (2021) whose numbers stand only in figures: ours alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from robench.studies.claims import Check, Claim, Difference
from robench.studies.runs import Column, System
from robench.studies.study import Study
from robench_studies.song2021.claims import SAME
from robench_studies.song2021.grid import CLEAN, MARGIN, MU, TRAININGS, Grid, system
from robench_studies.song2021.norms import all_norms, amplification, largest_norm
from robench_studies.song2021.reasons import explained

MUS = (1, 4, 16, 64, 255, 1024)
UNAUDITED = {
    "audit": "left to a second step (`robench audit RECORD`): accuracy under FGSM, PGD, BIM and "
    "MIM that PGD on the margin does not leave too is no robustness"
}
LAYERS: tuple[int | str, ...] = (1, 2, 3, 4, "conv", "linear")
ATTACKED = ("CW-L2", "FGSM (w)", "FGSM (s)", "PGD", "BIM", "MIM")


def mu_study(grid: Grid, name: str, source: str, settings: dict[str, str]) -> Study:
    """Every column against mu, the last layer mapped; mu 0 is no map."""
    systems = {
        (training, mu): system(
            grid.dataset,
            grid.model,
            training,
            mu=float(mu) if mu else None,
            label=f"{training}, mu {mu}",
        )
        for training in TRAININGS
        for mu in (0, *MUS)
    }
    words = (
        "Accuracy under attack rises with mu (CIFAR-10, last layer) while clean and noise columns "
        "may fall a little."
    )
    checks: list[Check] = []
    for training in ("Orig.", "F.L."):
        most, off = systems[training, MUS[-1]], systems[training, 0]
        raised = [grid.column(label) for label in ATTACKED]
        checks += [Difference((most, column), (off, column), least=0.0) for column in raised]
        kept = [grid.column(label) for label in ("Clean", "Normal", "Uniform")]
        checks += [Difference((most, column), (off, column), least=-SAME) for column in kept]
    title = f"Song et al. 2021: accuracy against mu on {grid}"
    tables = {"White box": grid.white_box, "Black box and noise": grid.black_box}
    claims = [Claim("S6", words, checks)]
    study = _ablation(name, title, source, list(systems.values()), tables, claims, settings)
    return replace(study, overrides=grid.preset("song2021_mu"))


def bits_study(grid: Grid, name: str, source: str, settings: dict[str, str]) -> Study:
    """Clean and attacked accuracy against the bits of a weight, for the three trainings."""
    systems = {
        (training, bits): system(
            grid.dataset, grid.model, training, bits=bits, label=f"{training}, {bits} bits"
        )
        for training in TRAININGS
        for bits in (32, 8, 7, 6, 5, 4, 3, 2)
    }
    pgd = grid.column("PGD")
    claims = [
        Claim(
            "bits, clean",
            "Quantization preserves the accuracy till 4-5 bits on clean images (slide 4, of Lin et "
            "al., 2019).",
            [
                Difference((systems[t, 4], CLEAN), (systems[t, 32], CLEAN), least=-SAME)
                for t in TRAININGS
            ],
        ),
        Claim(
            "bits, attacked",
            "It does not preserve the accuracy under attack (the same slide): here 4 bits and PGD, "
            "for Adv. and F.L.; Orig. has nothing to lose.",
            [
                Difference((systems[t, 4], pgd), (systems[t, 32], pgd), most=-SAME)
                for t in ("Adv.", "F.L.")
            ],
        ),
    ]
    columns = [CLEAN, grid.column("FGSM (s)"), pgd, MARGIN]
    title = f"Song et al. 2021: accuracy against bits on {grid}"
    tables = {"White box": columns}
    study = _ablation(name, title, source, list(systems.values()), tables, claims, settings)
    return replace(study, overrides=grid.preset("song2021_bits"))


def scales_study(grid: Grid, source: str, settings: dict[str, str]) -> Study:
    """What makes adversarially trained weights collapse at 3 bits: the rule of the scale."""
    systems = [
        system(
            grid.dataset,
            grid.model,
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
    columns = [CLEAN, grid.column("FGSM (s)"), grid.column("PGD"), MARGIN]
    title = f"Song et al. 2021: the scale of 3-bit weights on {grid.dataset}"
    return _ablation(
        "song2021_scales", title, source, systems, {"White box": columns}, [], settings
    )


def layers_study(grid: Grid, source: str, settings: dict[str, str]) -> Study:
    """Which layers to map: convolutions against linear layers, one to all."""
    mapped = {
        (training, layers): system(
            grid.dataset,
            grid.model,
            training,
            mu=MU,
            layers=layers,
            label=f"{training}, {_words(layers)}",
        )
        for training in TRAININGS
        for layers in LAYERS
    }
    claim = Claim(
        "layers",
        "Mapping convolutions costs more accuracy than mapping fully connected layers.",
        [
            Difference((mapped[training, "linear"], CLEAN), (mapped[training, "conv"], CLEAN), 0.0)
            for training in TRAININGS
        ],
    )
    title = f"Song et al. 2021: which layers to map on {grid.dataset}"
    tables = {"White box": grid.white_box}
    systems = list(mapped.values())
    return _ablation("song2021_layers", title, source, systems, tables, [claim], settings)


def dw_study(
    grid: Grid, name: str, source: str, settings: dict[str, str], last: int | None = None
) -> Study:
    """The norms of dW of the `last` layers (all) at 3 bits, and what they make of attacks."""
    systems = [
        replace(s, chosen={**s.chosen, "attack": ("pgd",)})  # whose examples the layers amplify
        for (_, _, bits), s in grid.systems.items()
        if bits == 3
    ]
    claim = Claim(
        "S7",
        "The ||dW|| of Adv. models is the largest.",
        [partial(largest_norm, grid)],
    )
    title = f"Song et al. 2021: the norms of dW on {grid}"
    tables = {"White box": [CLEAN, grid.column("PGD")]}
    study = _ablation(name, title, source, systems, tables, [claim], settings)
    extra = (partial(all_norms, systems, last), partial(amplification, systems, last))
    return replace(study, extra=extra, overrides=grid.preset("song2021_dw"))


def qat_study(grid: Grid, source: str, settings: dict[str, str]) -> Study:
    """Training with and without quantization; transferred examples of growing eps."""
    floats = {training: grid.systems[training, False, 32] for training in ("Adv.", "F.L.")}
    systems = [
        replace(
            grid.systems[training, False, bits] if compressor == "ptq" else float_,
            label=f"{training}, {words}",
            chosen={**float_.chosen, "compressor": (compressor,)},
        )
        for training, float_ in floats.items()
        for compressor, bits, words in (
            ("none", 32, "float"),
            ("ptq", 3, "3 bits after training"),
            ("qat_int8", 32, "8 bits in training"),
        )
    ]
    columns = {
        words: [
            CLEAN,
            *(Column(f"FGSM {eps}", "fgsm", access, eps) for eps in (0.1, 0.2, 0.3, 0.4)),
            Column("PGD", "pgd", access),
            Column("PGD, margin loss", "pgd_margin", access),
        ]
        for words, access in (("White box", "white_box"), ("Transferred", "transfer"))
    }
    title = f"Song et al. 2021: quantization in training on {grid.dataset}"
    return _ablation("song2021_qat", title, source, systems, columns, [], settings)


def _words(layers: int | str) -> str:
    return f"last {layers}" if isinstance(layers, int) else f"all {layers}"


def _ablation(
    name: str,
    title: str,
    source: str,
    systems: Sequence[System],
    tables: dict[str, list[Column]],
    claims: Sequence[Claim],
    settings: dict[str, str],
) -> Study:
    known = explained(name, claims)
    return Study(name, title, source, systems, tables, (), known, UNAUDITED | settings)
