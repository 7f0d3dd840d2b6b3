"""Other runtimes for what a run deploys, to be measured beside it."""

from __future__ import annotations

from collections.abc import Sequence

import robench

CHOICES = ("eager", "onnxruntime", "openvino")


def check_runtimes(names: Sequence[str]) -> None:
    """Raise ConfigError unless all names are known."""
    wrong = [name for name in names if name not in CHOICES]
    robench.require(
        not wrong, f"expected beside=[...] of {', '.join(CHOICES)}, got {', '.join(wrong)}"
    )


def runtimes(names: Sequence[str], evidence: robench.Evidence) -> dict[str, robench.Deployed]:
    """Each named runtime as a classifier; raises UserError when it cannot be had.

    `eager` is the float network as torch runs it, untrained: weights cost the same whatever they
    are. The others run the integer program's ONNX export.
    """
    return {name: _runtime(name, evidence) for name in names}


def _runtime(name: str, evidence: robench.Evidence) -> robench.Deployed:
    import torch

    if name == "eager":
        return robench.FloatDeployed(evidence.untrained(), batch=400)
    from robench.integer import classifier

    program = getattr(evidence.finished.deployed, "program", None)
    if program is None:
        raise robench.UserError(
            f"expected an integer program for {name}, got a float network; "
            "run with compressor=qat_int8 or ptq_int8"
        )
    return classifier(program, name, torch.get_num_threads())
