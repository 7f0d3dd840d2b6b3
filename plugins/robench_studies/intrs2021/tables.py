"""The rows, columns and cells of Lin et al. (2021), Tables 1 to 5."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from robench.studies import Certified, Measure, PaperCell, Predicted, Variant, read_cells

SIGMAS = (0.12, 0.25, 0.5, 1.0)
INT, FLOAT, QUANT, PLAIN = "IntRS-quant", "FloatRS-fp", "FloatRS-quant", "FloatRS-quant, 0 to 255"
METHODS = (INT, FLOAT, QUANT, PLAIN)
"""FloatRS-quant stands twice: with IntRS's wide input map, and with one that saturates."""
DRAWS = (100, 1000, 10_000, 100_000)


def variant(
    method: str,
    sigma: float = 0.25,
    train_sigma: float | None = None,
    *,
    dataset: str = "cifar10",
    model: str = "resnet20",
    label: str = "",
    metric: tuple[str, ...] = ("certified",),
    alpha: float = 0.001,
) -> Variant:
    """A method at a certification noise, trained at the same unless `train_sigma` is given.

    Its records are told apart by what they measure and, where they certify, by alpha.
    """
    defense = "intrs" if method == INT else "float_rs"
    noise = {f"defense.{defense}.sigma": sigma, f"defense.{defense}.train_sigma": train_sigma}
    certified = {"certifier.sequential.alpha": alpha}
    trained = f", trained at {train_sigma}" if train_sigma else ""
    return Variant(
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


def at_radii(radii: Sequence[float]) -> list[Measure]:
    """Certified accuracy at each radius."""
    return [Certified(f"r {radius:g}", radius=radius) for radius in radii]


def certified_cells(
    tables: Sequence[str], variants: dict[tuple[str, float, float], Variant]
) -> Iterator[PaperCell]:
    """The paper's cells of these tables; variants by method, training and certification noise."""
    for row in read_cells("robench_studies.intrs2021", "certified_accuracy.csv"):
        key = (row["method"], float(row["sigma_train"]), float(row["sigma_certify"]))
        if row["table"] in tables and key in variants:
            (measure,) = at_radii([float(row["radius"])])
            value = float(row["certified_accuracy"])
            yield PaperCell(row["table"], variants[key], measure, value)


def by_draws() -> list[Measure]:
    """Table 1's columns."""
    right: list[Measure] = [Predicted(f"right, n {n}", draws=n) for n in DRAWS]
    return right + [Predicted(f"abstain, n {n}", draws=n, abstained=True) for n in DRAWS]


def predicted_cells(variants: dict[str, Variant]) -> Iterator[PaperCell]:
    """The paper's cells of Table 1; variants by method."""
    measures = {measure.label: measure for measure in by_draws()}
    for row in read_cells("robench_studies.intrs2021", "prediction.csv"):
        for label, name in (("right", "correct"), ("abstain", "abstain")):
            measure = measures[f"{label}, n {row['n']}"]
            yield PaperCell(row["table"], variants[row["method"]], measure, float(row[name]))
