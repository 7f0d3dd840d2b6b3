"""Lin, Lou, Xiong and Shahabi (2021), "Integer-arithmetic-only Certified Robustness for Quantized
Neural Networks", ICCV 2021: the studies of its tables and figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from robench.studies import Certified, Claim, Measure, PaperCell, Runs, Study, Variant
from robench_studies import REASONS
from robench_studies.intrs2021.claims import (
    alpha_claim,
    attack_claim,
    certified_claims,
    mismatched_claims,
    percentage_claim,
    prediction_claims,
    transfer_claims,
)
from robench_studies.intrs2021.sections import prediction_cost, profiles
from robench_studies.intrs2021.tables import (
    FLOAT,
    INT,
    METHODS,
    SIGMAS,
    at_radii,
    by_draws,
    certified_cells,
    predicted_cells,
    variant,
)

SOURCE = (
    'Lin, Lou, Xiong, Shahabi, "Integer-arithmetic-only Certified Robustness for Quantized Neural '
    'Networks", ICCV 2021'
)
SETTINGS = {
    "noise": "discrete Gaussian on the 8-bit grid, sigma_int = 255 sigma; continuous for FloatRS",
    "certified accuracy": "over all images, abstentions wrong (as the paper's tables, not Eq. 10)",
    "certifier": "sequential at the paper's N2 and alpha: same certificates at these radii, fewer "
    "draws; radii are one against the rest",
    "threat": "changes of 8-bit images; certificates of FloatRS-fp are approximate",
    "FloatRS-quant": "twice: with IntRS's wide input map, and with the plain 8-bit range",
}
ON_FIG_1 = {
    "claims are checked at eps 0.005 and 0.01": "below a step of 8 bits no pixel can change; "
    "above, next to nothing of either network is left",
    **SETTINGS,
    "paper's clean accuracy": "93 % float, 91 % int8, on 100 images",
}
RADII = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
MISMATCHED = (0.0, *RADII)
LINF = (0.001, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05)
L2 = (0.12, 0.25, 0.5, 1.0)
ALPHAS = (0.05, 0.01, 0.001, 0.0001)


def _study(
    name: str,
    title: str,
    variants: Iterable[Variant],
    tables: Mapping[str, Sequence[Measure]],
    claims: Sequence[Claim] = (),
    cells: Sequence[PaperCell] = (),
    sections: Sequence[Callable[[Runs], str]] = (),
    settings: Mapping[str, str] = SETTINGS,
) -> Study:
    return Study(
        name=f"intrs_{name}",
        title=f"IntRS, {title}",
        source=SOURCE,
        variants=list(variants),
        tables=tables,
        cells=cells,
        claims=claims,
        settings=settings,
        sections=sections,
        reasons=REASONS,
    )


def _prediction() -> Study:
    variants = {m: variant(m, metric=("smoothed_prediction",)) for m in (INT, FLOAT)}
    cells = list(predicted_cells(variants))
    return _study(
        "table1",
        "Table 1: prediction against the number of draws",
        variants.values(),
        {"Table 1": by_draws()},
        prediction_claims(cells, variants),
        cells,
        [partial(profiles, list(variants.values()))],
    )


def _certified(number: str, dataset: str, model: str, radii: Sequence[float]) -> Study:
    variants = {
        (method, sigma, sigma): variant(method, sigma, dataset=dataset, model=model)
        for sigma in SIGMAS
        for method in METHODS
    }
    cells = list(certified_cells([number], variants))
    return _study(
        f"table{number}",
        f"Table {number}: certified accuracy on {dataset}",
        variants.values(),
        {f"Table {number}": at_radii(radii)},
        certified_claims(number, cells, variants, radii),
        cells,
        [partial(profiles, list(variants.values()))],
    )


def _mismatched() -> Study:
    variants = {
        (method, trained, sigma): variant(method, sigma, trained)
        for trained in SIGMAS[:2]
        for sigma in SIGMAS
        for method in (INT, FLOAT)
    }
    cells = list(certified_cells(["4", "5"], variants))
    shares: list[Measure] = [
        kind
        for r in (0.0, 0.2)
        for kind in (
            Certified(f"CA, r {r:g}", radius=r),
            Certified(f"CP, r {r:g}", radius=r, percentage=True),
        )
    ]
    return _study(
        "table45",
        "Tables 4 and 5, Fig. 6: certified with another noise than trained with",
        variants.values(),
        {"Tables 4 and 5": at_radii(MISMATCHED), "Fig. 6": shares},
        mismatched_claims(cells, variants),
        cells,
        [partial(profiles, list(variants.values()))],
    )


def _transfer() -> Study:
    """Fig. 1: PGD on the float network, judged on it and on int8; beside it PGD on int8's twin."""
    floating, int8 = (
        Variant(
            label,
            {
                "dataset": ("cifar10",),
                "model": ("resnet20",),
                "defense": ("none",),
                "compressor": (compressor,),
                "attack": ("pgd",),
            },
            {"attack.pgd.steps": 7, "attack.pgd.norm": "linf"},
        )
        for label, compressor in (("float", "none"), ("int8", "qat_int8"))
    )
    own = [Measure(f"own, eps {e:g}", "pgd", "white_box", e) for e in LINF]
    other = [Measure(f"float's, eps {e:g}", "pgd", "transfer", e) for e in LINF]
    return _study(
        "fig1",
        "Fig. 1: PGD on the float network",
        [floating, int8],
        {
            "PGD with 7 steps on the judged network": [Measure("clean"), *own],
            "PGD with 7 steps on the float network": [Measure("clean"), *other],
        },
        transfer_claims(int8, floating, own[1:3], other[1:3]),
        settings=ON_FIG_1,
    )


def _percentages() -> Study:
    variants = {(m, s): variant(m, s) for s in SIGMAS for m in METHODS}
    measures = [Certified(f"CP, r {r:g}", radius=r, percentage=True) for r in (0.0, *RADII)]
    return _study(
        "fig5",
        "Fig. 5: certified percentage",
        variants.values(),
        {"Fig. 5": measures},
        [percentage_claim(variants, measures[0])],
        sections=[partial(profiles, list(variants.values()))],
    )


def _cost() -> Study:
    integer, floating = (variant(m, metric=("smoothed_prediction", "size")) for m in (INT, FLOAT))
    variants = [integer, floating]
    return _study(
        "fig7",
        "Fig. 7: what a robust prediction costs",
        variants,
        {"Right of these images": by_draws()[3:4]},
        sections=[partial(profiles, variants), partial(prediction_cost, integer, floating)],
    )


def _attack() -> Study:
    attacked = {"attack.pgd.steps": 20, "attack.pgd.norm": "l2"}
    integer, floating = (
        replace(one, options={**one.options, **attacked})
        for one in (variant(m, metric=()) for m in (INT, FLOAT))
    )
    measures = [Measure("clean"), *(Measure(f"L2 {e:g}", "pgd", "white_box", e) for e in L2)]
    return _study(
        "fig10",
        "Fig. 10: L2 PGD on the smoothed classifiers",
        [integer, floating],
        {"Fig. 10": measures},
        [attack_claim(integer, floating, measures)],
    )


def _alphas() -> Study:
    variants = {
        (m, a): variant(m, label=f"{m}, alpha {a:g}", alpha=a) for a in ALPHAS for m in (INT, FLOAT)
    }
    return _study(
        "fig11",
        "Fig. 11: certified accuracy against alpha",
        variants.values(),
        {"Fig. 11": at_radii((0.0, *RADII[:3]))},
        [alpha_claim(variants, RADII[:2])],
        sections=[partial(profiles, list(variants.values()))],
    )


STUDIES = {
    study.name: study
    for study in (
        _prediction(),
        _certified("2", "cifar10", "resnet20", RADII),
        _certified("3", "caltech101", "torchvision", (*RADII, 1.75, 2.0)),
        _mismatched(),
        _transfer(),
        _percentages(),
        _cost(),
        _attack(),
        _alphas(),
    )
}
