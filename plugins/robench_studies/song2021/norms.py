"""The Lipschitz measurements of Song et al. (2021): norms of dW, and what layers amplify."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from robench.studies.claims import Finding
from robench.studies.runs import Runs, System
from robench_studies.song2021.grid import TRAININGS, Grid

QUANTIZATION = {"step": "mapped -> quantized"}
SPECTRAL = QUANTIZATION | {"view": "matrix", "p": "2"}
NORMS = {
    f"||dW||_{p}, {view}": QUANTIZATION | {"view": view, "p": p}
    for view in ("matrix", "circular convolution")
    for p in ("1", "2", "inf")
}
TERMS = ("W dx", "dW x", "dW dx")


def largest_norm(grid: Grid, runs: Runs) -> Finding:
    """Whether in every layer the quantization error of Adv. has the largest spectral norm."""
    norms = {training: _spectral(grid, runs, training) for training in TRAININGS}
    if not all(norms.values()):
        return Finding("||dW||_2 of all three trainings: not measured", None)
    largest = [
        layer
        for layer, value in norms["Adv."].items()
        if value >= max(norms[training][layer] for training in TRAININGS)
    ]
    text = f"||dW||_2 of Adv. is the largest in {len(largest)} of {len(norms['Adv.'])} layers"
    return Finding(text, len(largest) == len(norms["Adv."]))


def norms_table(grid: Grid, runs: Runs) -> str:
    """||dW||_2 of each layer, of the quantization error, for the three trainings."""
    systems = [grid.systems[training, False, 3] for training in TRAININGS]
    title = "||dW||_2, quantization error at 3 bits, weights as matrices"
    return _table(title, systems, runs, "weight_perturbation", SPECTRAL)


def all_norms(systems: Sequence[System], last: int | None, runs: Runs) -> str:
    """The norms of the quantization error, p = 1, 2, inf, of matrices and of convolutions.

    Of the last so many layers; None: of all.
    """
    tables = (
        _table(f"{title}, mapped -> quantized", systems, runs, "weight_perturbation", axes, last)
        for title, axes in NORMS.items()
    )
    return "\n\n".join(filter(None, tables))


def amplification(systems: Sequence[System], last: int | None, runs: Runs) -> str:
    """Feature distances and the terms of the error, layer by layer, means over images."""
    return "\n\n".join(filter(None, _amplification(systems, last, runs)))


def _amplification(systems: Sequence[System], last: int | None, runs: Runs) -> Iterator[str]:
    title = "Relative feature distance ||dx|| / ||x||, the layers' inputs"
    yield _table(title, systems, runs, "feature_distance", {}, last)
    for term in TERMS:
        yield _table(f"||{term}||", systems, runs, "error_term", {"term": term}, last)
    yield _table("Signal to noise ||W x|| / ||W dx||", systems, runs, "signal_to_noise", {}, last)


def _table(
    title: str,
    systems: Sequence[System],
    runs: Runs,
    metric: str,
    axes: dict[str, str],
    last: int | None = None,
) -> str:
    values = {system.label: _by_layer(runs, system, metric, axes) for system in systems}
    if not any(values.values()):
        return ""
    kept = _layers(systems, runs)[-(last or 0) :]
    layers = [layer for layer in next(filter(None, values.values())) if layer in kept]
    lines = [f"## {title}\n", f"| model | {' | '.join(layers)} |", "|---" * (len(layers) + 1) + "|"]
    for label, found in values.items():
        cells = (f"{found[layer]:.3f}" if layer in found else "not run" for layer in layers)
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _layers(systems: Sequence[System], runs: Runs) -> list[str]:
    """All layers with weights, in the network's order."""
    found = (_by_layer(runs, system, "weight_perturbation", SPECTRAL) for system in systems)
    return list(next(filter(None, found), {}))


def _spectral(grid: Grid, runs: Runs, training: str) -> dict[str, float]:
    return _by_layer(runs, grid.systems[training, False, 3], "weight_perturbation", SPECTRAL)


def _by_layer(runs: Runs, system: System, metric: str, axes: dict[str, str]) -> dict[str, float]:
    run = runs.get(system)
    return {
        str(value.axes["layer"]): value.value
        for value in (run.record.values if run else ())
        if value.metric == metric and value.value is not None and axes.items() <= value.axes.items()
    }
