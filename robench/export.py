"""The deployed model of a record as a file to ship: C99 or ONNX."""

from __future__ import annotations

from pathlib import Path

from robench.config import Places
from robench.errors import UserError
from robench.integer import Program, export_c, export_onnx
from robench.integer.codegen import generate
from robench.rebuild import rebuild
from robench.smoothing import Cohen, certifier_source
from robench.smoothing.classifier import SmoothedDeployed
from robench.steps import Steps


def export(folder: Path, form: str, out: Path, places: Places) -> Path:
    """Write a record's deployed model below `out` and return the file.

    `c` is one C99 file without dependencies: a classifier of 8-bit images, or for a smoothed model
    the complete certifier without floating point. `onnx` is QDQ and not bit-exact. Raises UserError
    for a model that is no integer program.
    """
    record, steps = rebuild(folder, places)
    deployed = steps.system.deployed
    smoothed = isinstance(deployed, SmoothedDeployed)
    base = deployed.base if isinstance(deployed, SmoothedDeployed) else deployed
    program = getattr(base, "program", None)
    if not isinstance(program, Program):
        raise UserError(
            f"expected an integer program to export, got {type(base).__name__}; "
            "run with compressor=qat_int8 or ptq_int8"
        )
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{record.id}.{form}"
    if form == "onnx":
        export_onnx(program, path)
    elif smoothed:
        path.write_text(_certifier(deployed, program, steps), encoding="utf-8")  # type: ignore[arg-type]
    else:
        export_c(program, path)
    return path


def _certifier(deployed: SmoothedDeployed, program: Program, steps: Steps) -> str:
    """The certifier's C; it counts a fixed number of draws, whatever certified the record."""
    used = next(iter(steps.config.certifier.values()))
    channels, height, width = steps.data.shape
    return certifier_source(
        generate(program),
        noise=deployed.noise,
        pixels=channels * height * width,
        seed=steps.certify_seed,
        certifier=Cohen(n1=used.n1, n2=getattr(used, "n2", Cohen.n2), alpha=used.alpha),
        predict_draws=deployed.draws,
    )
