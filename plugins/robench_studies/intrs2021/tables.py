"""Lin, Lou, Xiong and Shahabi (2021), "Integer-arithmetic-only Certified Robustness for Quantized
Neural Networks", ICCV 2021: the studies of its tables and figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

from robench.studies.claims import Check, Claim, Difference
from robench.studies.runs import Column, PaperCell, Runs, System
from robench.studies.study import Study
from robench.studies.voted import Certified
from robench_studies.intrs2021.figures import attack_study, prediction_cost, transfer_study
from robench_studies.intrs2021.grid import (
    DRAWS,
    FLOAT,
    INT,
    METHODS,
    PLAIN,
    QUANT,
    SIGMAS,
    Near,
    at_radii,
    by_draws,
    certified_cells,
    predicted_cells,
    profiles,
    system,
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
CLOSE = 0.05
"""A difference that still counts as comparable accuracy."""
PROFILE = (
    "the profiles above. With N2 = 10,000 in place of 100,000, IntRS's .57, .39, .22 at sigma 0.25 "
    "become .55, .37, .16 (by cohen, 200 images): 0.75 is 3 sigma, about all that 10,000 draws "
    "show. Five epochs cost most at sigma 0.12."
)
RADII = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
MISMATCHED = (0.0, *RADII)


def _study(
    name: str,
    title: str,
    systems: Sequence[System],
    tables: dict[str, list[Column]],
    claims: Sequence[Claim],
    cells: Sequence[PaperCell] = (),
    extra: Sequence[Callable[[Runs], str]] = (),
) -> Study:
    about: list[Callable[[Runs], str]] = [partial(profiles, systems), *extra]
    return Study(f"intrs_{name}", title, SOURCE, systems, tables, cells, claims, SETTINGS, about)


def _prediction() -> Study:
    systems = {m: system(m, metric=("smoothed_prediction",)) for m in (INT, FLOAT)}
    cells = list(predicted_cells(systems))
    columns = {column.label: column for column in by_draws()}
    fewer: list[Check] = [
        Difference((s, columns["abstain, n 100"]), (s, columns[f"abstain, n {DRAWS[-1]}"]), 0.0)
        for s in systems.values()
    ]
    claims = [
        Claim("Table 1", "Right and abstaining predictions, cell by cell.", [*map(Near, cells)]),
        Claim("abstention", "Abstentions vanish as n grows.", fewer),
    ]
    title = "IntRS, Table 1: prediction against the number of draws"
    return _study("table1", title, [*systems.values()], {"Table 1": by_draws()}, claims, cells)


def _certified(number: str, dataset: str, model: str, radii: Sequence[float]) -> Study:
    by_key = {
        (method, sigma, sigma): system(method, sigma, dataset=dataset, model=model)
        for sigma in SIGMAS
        for method in METHODS
    }
    cells = list(certified_cells([number], by_key))

    def pairs(first: str, second: str, least: float, most: float = 1.0) -> list[Check]:
        found: list[Check] = []
        for sigma in SIGMAS:
            for column in at_radii([r for r in radii[:3] if r < 3 * sigma]):
                a, b = by_key[first, sigma, sigma], by_key[second, sigma, sigma]
                found.append(Difference((a, column), (b, column), least, most))
        return found

    claims = [
        Claim(
            f"Table {number}",
            "Cell by cell.",
            [Near(cell) for cell in cells if cell.value],
            PROFILE if number == "2" else "ten of the 101 classes, no ImageNet weights, 2 epochs",
        ),
        Claim("comparable", "IntRS keeps FloatRS-fp's accuracy.", pairs(INT, FLOAT, -CLOSE, CLOSE)),
        Claim("(28)", "IntRS is better than FloatRS-quant.", pairs(INT, PLAIN, 0.0)),
        Claim(
            "saturation",
            "Ours, not the paper's: FloatRS-quant loses to its own wide input map, so that a "
            "saturating 8-bit input explains its collapse at sigma 1.",
            pairs(QUANT, PLAIN, 0.0)[-1:],
        ),
    ]
    title = f"IntRS, Table {number}: certified accuracy on {dataset}"
    tables = {f"Table {number}": at_radii(radii)}
    return _study(f"table{number}", title, [*by_key.values()], tables, claims, cells)


def _mismatched() -> Study:
    by_key = {
        (method, trained, sigma): system(method, sigma, trained)
        for trained in SIGMAS[:2]
        for sigma in SIGMAS
        for method in (INT, FLOAT)
    }
    cells = list(certified_cells(["4", "5"], by_key))
    better: list[Check] = [
        Difference((by_key[INT, t, s], column), (by_key[FLOAT, t, s], column), 0.0)
        for t in SIGMAS[:2]
        for s in SIGMAS
        for column in at_radii([0.25])
        if s * 3.5 > 0.25
    ]
    shares: list[Column] = [
        kind
        for r in (0.0, 0.2)
        for kind in (
            Certified(f"CA, r {r:g}", radius=r),
            Certified(f"CP, r {r:g}", radius=r, percentage=True),
        )
    ]
    claims = [
        Claim(
            "Tables 4, 5",
            "Cell by cell.",
            [Near(cell) for cell in cells if cell.value],
            "21 epochs, 40 images: the cells that miss have much more noise than the training",
        ),
        Claim(
            "(27)",
            "IntRS outperforms FloatRS-fp at all certification noises.",
            better,
            "the paper's own Table 5 says otherwise at sigma 0.25: .61 < .62, .42 < .44, .26 < .27",
        ),
    ]
    tables = {"Tables 4 and 5": at_radii(MISMATCHED), "Fig. 6": shares}
    title = "IntRS, Tables 4 and 5, Fig. 6: certified with another noise than trained with"
    return _study("table45", title, [*by_key.values()], tables, claims, cells)


def _percentages() -> Study:
    by_sigma = {(m, s): system(m, s) for s in SIGMAS for m in METHODS}
    columns: list[Column] = [
        Certified(f"CP, r {r:g}", radius=r, percentage=True) for r in (0.0, *RADII)
    ]
    checks: list[Check] = [
        Difference((by_sigma[INT, low], columns[0]), (by_sigma[INT, high], columns[0]), 0.0)
        for low, high in pairwise(SIGMAS)
    ]
    mixed = "the profiles above: 21 epochs at sigma 0.25, 5 and N2 = 10,000 at the others"
    claim = Claim("Fig. 5", "More noise certifies fewer images at radius 0.", checks, mixed)
    title = "IntRS, Fig. 5: certified percentage"
    return _study("fig5", title, [*by_sigma.values()], {"Fig. 5": columns}, [claim])


def _cost() -> Study:
    systems = [system(m, metric=("smoothed_prediction", "size")) for m in (INT, FLOAT)]
    right: list[Column] = list(by_draws()[3:4])
    title = "IntRS, Fig. 7: what a robust prediction costs"
    extra = [partial(prediction_cost, systems[0], systems[1])]
    return _study("fig7", title, systems, {"Right of these images": right}, [], (), extra)


def _alphas() -> Study:
    alphas = (0.05, 0.01, 0.001, 0.0001)
    by_alpha = {
        (m, a): system(m, label=f"{m}, alpha {a:g}", alpha=a) for a in alphas for m in (INT, FLOAT)
    }
    checks: list[Check] = [
        Difference((by_alpha[m, alphas[-1]], c), (by_alpha[m, alphas[0]], c), -CLOSE, CLOSE)
        for m in (INT, FLOAT)
        for c in at_radii(RADII[:2])
    ]
    few = "20 and 40 images give intervals wider than the 5 points allowed; IntRS never changes"
    claim = Claim("Fig. 11", "Certified accuracy hardly depends on alpha.", checks, few)
    columns = at_radii((0.0, *RADII[:3]))
    title = "IntRS, Fig. 11: certified accuracy against alpha"
    return _study("fig11", title, [*by_alpha.values()], {"Fig. 11": columns}, [claim])


STUDIES = {
    study.name: study
    for study in (
        _prediction(),
        _certified("2", "cifar10", "resnet20", RADII),
        _certified("3", "caltech101", "torchvision", (*RADII, 1.75, 2.0)),
        _mismatched(),
        transfer_study(SOURCE, SETTINGS),
        _percentages(),
        _cost(),
        attack_study(SOURCE, SETTINGS),
        _alphas(),
    )
}
