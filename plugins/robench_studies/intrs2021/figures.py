"""The figures of Lin et al. (2021) that attack or time: Figs. 1, 7 and 10."""

from __future__ import annotations

from collections.abc import Sequence

from robench.studies.claims import Check, Claim, Difference
from robench.studies.runs import Column, Run, Runs, System
from robench.studies.study import Study
from robench_studies.intrs2021.grid import FLOAT, INT, system

LINF = (0.001, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05)
L2 = (0.12, 0.25, 0.5, 1.0)
DRAWS = 100_000
SECONDS = {INT: 55.8, FLOAT: 194.4}
"""Section 4.3: a robust prediction on CIFAR-10 by so many draws, in seconds."""


def transfer_study(source: str, settings: dict[str, str]) -> Study:
    """Fig. 1: PGD on the float network, judged on it and on int8; beside it PGD on int8's twin."""
    float_net, int8 = (
        System(
            label,
            {
                "dataset": ("cifar10",),
                "model": ("resnet20",),
                "defense": ("none",),
                "compressor": (compressor,),
                "attack": ("pgd",),
            },
            {"attack.pgd.steps": 7},
        )
        for label, compressor in (("float", "none"), ("int8", "qat_int8"))
    )
    own = [Column(f"own, eps {e:g}", "pgd", "white_box", e) for e in LINF]
    other = [Column(f"float's, eps {e:g}", "pgd", "transfer", e) for e in LINF]
    robust: list[Check] = [
        Difference((int8, theirs), (float_net, mine), 0.0)
        for theirs, mine in zip(other[1:3], own[1:3], strict=True)
    ]
    weaker: list[Check] = [
        Difference((int8, theirs), (int8, mine), 0.0)
        for theirs, mine in zip(other[1:3], own[1:3], strict=True)
    ]
    claims = [
        Claim("Fig. 1", "The int8 network is more robust to attacks on the float one.", robust),
        Claim(
            "own attack",
            "Ours: attacks on the int8 twin are stronger on int8 than those on the float network, "
            "so that Fig. 1 shows transfer and not robustness.",
            weaker,
        ),
    ]
    tables = {
        "PGD with 7 steps on the judged network": [Column("clean"), *own],
        "PGD with 7 steps on the float network": [Column("clean"), *other],
    }
    title = "IntRS, Fig. 1: PGD on the float network"
    about = {
        "claims are checked at eps 0.005 and 0.01": "below a step of 8 bits no pixel can change; "
        "above, next to nothing of either network is left",
        **settings,
        "paper's clean accuracy": "93 % float, 91 % int8, on 100 images",
    }
    return Study("intrs_fig1", title, source, [float_net, int8], tables, [], claims, about)


def attack_study(source: str, settings: dict[str, str]) -> Study:
    """Fig. 10: L2 PGD with 20 steps on the smoothed classifiers."""
    systems = [system(m, metric=()) for m in (INT, FLOAT)]
    columns = [Column("clean"), *(Column(f"L2 {e:g}", "pgd", "white_box", e) for e in L2)]
    close: list[Check] = [
        Difference((systems[0], column), (systems[1], column), -0.05, 0.05) for column in columns
    ]
    claims = [Claim("Fig. 10", "IntRS holds against attacks as FloatRS-fp does.", close)]
    title = "IntRS, Fig. 10: L2 PGD on the smoothed classifiers"
    tables = {"Fig. 10": columns}
    return Study("intrs_fig10", title, source, systems, tables, [], claims, settings)


def prediction_cost(integer: System, floating: System, runs: Runs) -> str:
    """Fig. 7: seconds of a prediction, bytes of the network, and their ratios."""
    lines = [
        "## Seconds and bytes\n",
        f"A prediction by {DRAWS:,} draws on this machine (the paper: another one, one image at a "
        "time). Fig. 8, over 8 minutes in float on a phone, cannot be measured here: the program "
        "of `robench export --format c` has `--bench N` for it.\n",
        "| model | s per image | the paper's | network, bytes |",
        "|---|---|---|---|",
    ]
    both = [(name, runs.get(one)) for name, one in ((INT, integer), (FLOAT, floating))]
    costs = [_cost(run) for _, run in both]
    for (name, _), (seconds, size) in zip(both, costs, strict=True):
        lines.append(f"| {name} | {_shown(seconds)} | {SECONDS[name]} | {_shown(size)} |")
    times, sizes = _ratio([c[0] for c in costs]), _ratio([c[1] for c in costs])
    lines.append(f"| ratio, float over int8 | {times} | 3.48 | {sizes} (the paper's about 1.67) |")
    return "\n".join(lines)


def _cost(run: Run | None) -> tuple[float | None, float | None]:
    """Seconds of a prediction and bytes as stored."""
    if run is None:
        return None, None
    values = {v.metric: v.value for v in run.record.values if v.axes.get("draws") == DRAWS}
    sizes = [v.value for v in run.record.values if v.metric == "size" and not v.axes]
    return values.get("prediction_seconds"), sizes[0] if sizes else None


def _ratio(pair: Sequence[float | None]) -> str:
    return f"{pair[1] / pair[0]:.2f}" if pair[0] and pair[1] else "-"


def _shown(value: float | None) -> str:
    return "not run" if value is None else f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"
