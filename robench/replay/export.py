"""The deployed model of a record as a file to ship: C99 or ONNX."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch

from robench.base.errors import UserError
from robench.integer import IntegerDeployed, Program, export_c, export_onnx
from robench.integer.codegen import generate
from robench.integer.runtimes import agreements
from robench.plugin.evidence import Evidence
from robench.replay.rebuild import rebuild
from robench.run.config import Places
from robench.smoothing import Cohen, certifier_source
from robench.smoothing.classifier import SmoothedDeployed


@dataclass(frozen=True)
class Exported:
    """What was written, and for ONNX how far installed runtimes agree with the program."""

    path: Path
    images: int
    """Judged test images that were compared."""
    agreement: dict[str, float] = field(default_factory=dict)
    """Share of equal labels by runtime, in [0,1]."""


def export(folder: Path, form: str, out: Path, places: Places) -> Exported:
    """Write a record's deployed model below `out`.

    `c` is one C99 file without dependencies: a classifier of 8-bit images, or for a smoothed model
    the complete certifier without floating point. `onnx` is QDQ and not bit-exact; installed
    runtimes are compared with the program on the record's images. Raises UserError for a model that
    is no integer program.
    """
    rebuilt = rebuild(folder, places)
    evidence = rebuilt.evidence
    deployed = evidence.system.deployed
    smoothed = isinstance(deployed, SmoothedDeployed)
    base = deployed.base if isinstance(deployed, SmoothedDeployed) else deployed
    if not isinstance(base, IntegerDeployed):
        raise UserError(
            f"expected a record of an integer program to export as {form}, got "
            f"compressor={'+'.join(rebuilt.record.config['compressor'])}, whose network computes "
            "otherwise; compressor=ptq_int8 and compressor=qat_int8 make one"
        )
    program = base.program
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{rebuilt.record.id}.{form}"
    agreement: dict[str, float] = {}
    if form == "onnx":
        export_onnx(program, path)
        pixels = evidence.test.images
        agreement = agreements(program, pixels, base.labels(pixels), torch.get_num_threads())
    elif smoothed:
        path.write_text(_certifier(deployed, program, evidence), encoding="utf-8")  # type: ignore[arg-type]
    else:
        export_c(program, path)
    return Exported(path, len(evidence.test), agreement)


def _certifier(deployed: SmoothedDeployed, program: Program, evidence: Evidence) -> str:
    """The certifier's C; it counts a fixed number of draws, whatever certified the record."""
    _, used = evidence.certifier
    channels, height, width = evidence.data.shape
    return certifier_source(
        generate(program),
        noise=deployed.noise,
        pixels=channels * height * width,
        seed=evidence.certify_seed,
        certifier=Cohen(
            n1=getattr(used, "n1", Cohen.n1),
            n2=getattr(used, "n2", Cohen.n2),
            alpha=used.alpha,
            radius=getattr(used, "radius", Cohen.radius),
        ),
        predict_draws=deployed.draws,
        predict_alpha=deployed.alpha,
    )
