"""int8 by torch.export and torchao (PT2E)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from robench_files.toolchain import BATCH, Toolchain, save_program

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class PT2EInt8(Toolchain):
    """Static int8 by torchao's PT2E for x86 (X86InductorQuantizer), judged eagerly in torch."""

    file: ClassVar[str] = "network.pt2"
    runtime: ClassVar[str] = "torch"
    packages: ClassVar[tuple[str, ...]] = ("torchao",)
    requires: ClassVar[str] = "pip install 'robench[torchao]'"

    def write(self, model: nn.Module, images: Tensor, path: Path) -> None:
        """Export, observe the images, convert; the file holds the quantised program alone."""
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
        from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

        quantizer = x86.X86InductorQuantizer()
        quantizer.set_global(x86.get_default_x86_inductor_quantization_config())
        observed = prepare_pt2e(_exported(model, images).module(), quantizer)
        for batch in images.split(BATCH):
            observed(batch)
        save_program(_exported(_without_unused(convert_pt2e(observed)), images), path)


def _exported(model: nn.Module, images: Tensor) -> Any:
    """The program of a network, its batch left open."""
    import torch

    example = torch.zeros_like(images[:2])
    return torch.export.export(
        model, (example,), dynamic_shapes=({0: torch.export.Dim("n")},), strict=False
    )


def _without_unused(converted: Any) -> Any:
    """Without the float weights, which the converted program keeps beside the int8 ones."""
    used = {node.target for node in converted.graph.nodes if node.op == "get_attr"}
    for name, _ in list(converted.named_parameters()):
        if name not in used:
            owner, _, last = name.rpartition(".")
            delattr(converted.get_submodule(owner), last)
    return converted
