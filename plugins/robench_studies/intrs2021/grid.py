"""The systems, columns and cells of Lin et al. (2021), Tables 1 to 5."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from robench.studies.claims import Finding
from robench.studies.paper import read_cells
from robench.studies.runs import Column, PaperCell, Runs, System
from robench.studies.voted import Certified, Predicted

SIGMAS = (0.12, 0.25, 0.5, 1.0)
INT, FLOAT, QUANT, PLAIN = "IntRS-quant", "FloatRS-fp", "FloatRS-quant", "FloatRS-quant, 0 to 255"
METHODS = (INT, FLOAT, QUANT, PLAIN)
"""FloatRS-quant stands twice: with IntRS's wide input map, and with one that saturates."""
DRAWS = (100, 1000, 10_000, 100_000)
NEAR = 0.08
"""How far from the paper's share still counts as reproduced."""


def system(
    method: str,
    sigma: float = 0.25,
    train_sigma: float | None = None,
    *,
    dataset: str = "cifar10",
    model: str = "resnet20",
    label: str = "",
    metric: tuple[str, ...] = ("certified",),
    alpha: float = 0.001,
) -> System:
    """A method at a certification noise, trained at the same unless `train_sigma` is given.

    Its records are told apart by what they measure and, where they certify, by alpha.
    """
    defense = "intrs" if method == INT else "float_rs"
    noise = {f"defense.{defense}.sigma": sigma, f"defense.{defense}.train_sigma": train_sigma}
    certified = {"certifier.sequential.alpha": alpha, "metric.certified.attack": False}
    trained = f", trained at {train_sigma}" if train_sigma else ""
    return System(
        label=label or f"{method}, sigma {sigma}{trained}",
        chosen={
            "dataset": (dataset,),
            "model": (model,),
            "defense": (defense,),
            "compressor": ("none",) if method == FLOAT else ("qat_int8",),
            "metric": ("accuracy", *metric),
        },
        options={
            **noise,
            f"defense.{defense}.wide": method != PLAIN,
            **(certified if "certified" in metric else {}),
        },
    )


def at_radii(radii: Sequence[float]) -> list[Column]:
    """Certified accuracy at each radius."""
    return [Certified(f"r {radius:g}", radius=radius) for radius in radii]


def certified_cells(
    tables: Sequence[str], systems: dict[tuple[str, float, float], System]
) -> Iterator[PaperCell]:
    """The paper's cells of these tables; systems by method, training and certification noise."""
    for row in read_cells("robench_studies", "intrs2021_certified_accuracy"):
        key = (row["method"], float(row["sigma_train"]), float(row["sigma_certify"]))
        if row["table"] in tables and key in systems:
            (column,) = at_radii([float(row["radius"])])
            value = float(row["certified_accuracy"])
            yield PaperCell(row["table"], systems[key], column, value)


def by_draws() -> list[Column]:
    """Table 1's columns."""
    right: list[Column] = [Predicted(f"right, n {n}", draws=n) for n in DRAWS]
    return right + [Predicted(f"abstain, n {n}", draws=n, abstained=True) for n in DRAWS]


def predicted_cells(systems: dict[str, System]) -> Iterator[PaperCell]:
    """The paper's cells of Table 1; systems by method."""
    columns = {column.label: column for column in by_draws()}
    for row in read_cells("robench_studies", "intrs2021_prediction"):
        for label, name in (("right", "correct"), ("abstain", "abstain")):
            column = columns[f"{label}, n {row['n']}"]
            yield PaperCell(row["table"], systems[row["method"]], column, float(row[name]))


@dataclass(frozen=True)
class Near:
    """A check that our share lies within NEAR of the paper's, or that its interval lies beyond."""

    cell: PaperCell

    def __call__(self, runs: Runs) -> Finding:
        """Compare the cell."""
        label = f"{self.cell.system.label} ({self.cell.column.label})"
        ours = runs.score(self.cell.system, self.cell.column)
        if ours is None:
            return Finding(f"{label}: not run", None)
        gap, (low, high) = ours.value - self.cell.value, ours.interval
        text = f"{label}: {100 * ours.value:.1f}, the paper's {100 * self.cell.value:.0f}"
        text = f"{text}, {100 * gap:+.1f} points"
        run = runs.get(self.cell.system)
        if run and run.record.config["model"].get("torchvision", {}).get("weights", "") is None:
            return Finding(f"{text}: without ImageNet weights, not comparable", None)
        if abs(gap) <= NEAR + 1e-9:  # 0.36 - 0.44 is a little more than 0.08 in floats
            return Finding(text, True)
        if low <= self.cell.value + NEAR and high >= self.cell.value - NEAR:
            return Finding(f"{text}: too few images to tell", None)
        return Finding(text, False)


def profiles(systems: Sequence[System], runs: Runs) -> str:
    """What each record spent on training and votes, which the paper's numbers need to be told."""
    lines = [
        "## Profiles\n",
        "The paper: 90 epochs, N1 = 100, N2 = 100,000, alpha 0.001, the whole test set.\n",
        "| model | epochs | certifier | certified images |",
        "|---|---|---|---|",
    ]
    for chosen in systems:
        run = runs.get(chosen)
        if run is None:
            continue
        rows = run.table("certificates")
        name, options = next(iter(run.record.config["certifier"].items()))
        told = ", ".join(f"{k} {options[k]}" for k in ("n2", "alpha") if k in options)
        images = "-" if rows is None else len(rows)
        epochs = run.record.config["train"]["epochs"] or "the data set's"
        lines.append(f"| {chosen.label} | {epochs} | {name}, {told} | {images} |")
    return "\n".join(lines)
