"""Size: bytes as shipped, parameters, multiply-accumulates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import robench
from robench_metrics.runtimes import check_runtimes, runtimes

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Size(robench.Metric):
    """Bytes of the deployed model as it ships, its parameters and operations per image."""

    measures: ClassVar[tuple[str, ...]] = (
        "size",
        "parameters",
        "macs",
    )

    beside: list[str] = field(default_factory=list)
    """Other runtimes' bytes: eager (the float network), onnxruntime, openvino (the ONNX file)."""

    def __post_init__(self) -> None:
        check_runtimes(self.beside)

    def measure(self, evidence: robench.Evidence) -> Iterable[robench.Value]:
        """Exact numbers; those of other runtimes carry the axis `runtime`."""
        model = evidence.trained
        parameters = sum(p.numel() for p in model.parameters())
        deployed = evidence.system.deployed
        bytes_shipped = deployed.nbytes()
        yield robench.Value(metric="size", value=bytes_shipped, unit="bytes", better="lower")
        for name, other in runtimes(self.beside, evidence).items():
            yield robench.Value(
                metric="size",
                value=other.nbytes(),
                unit="bytes",
                better="lower",
                axes={"runtime": name},
            )
        yield robench.Value(metric="parameters", value=parameters, unit="", better="lower")
        counted = getattr(getattr(deployed, "base", deployed), "macs", None)
        macs = counted() if counted else multiply_accumulates(model, evidence.data.shape)
        yield robench.Value(metric="macs", value=macs, unit="MAC/img", better="lower")


def multiply_accumulates(model: nn.Module, shape: tuple[int, int, int]) -> int:
    """Multiply-accumulates of all convolutions and linear layers for one image."""
    import torch
    from torch import nn

    total = 0

    def count(layer: Any, _: Any, output: Any) -> None:
        nonlocal total
        inputs = layer.weight[0].numel()
        total += output.numel() * inputs

    layers = [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    handles = [layer.register_forward_hook(count) for layer in layers]
    device = next(model.parameters()).device
    with torch.no_grad():
        model(torch.zeros(1, *shape, device=device))
    for handle in handles:
        handle.remove()
    return total
