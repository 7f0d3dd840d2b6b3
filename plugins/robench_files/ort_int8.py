"""int8 by ONNX Runtime's own quantiser."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from robench_files.toolchain import BATCH, Toolchain, export_onnx

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class OrtInt8(Toolchain):
    """Static int8 by onnxruntime.quantization (QDQ, scales per channel), judged in ONNX Runtime."""

    file: ClassVar[str] = "network.onnx"
    runtime: ClassVar[str] = "onnxruntime"
    packages: ClassVar[tuple[str, ...]] = ("onnxruntime", "onnx", "onnxscript")
    requires: ClassVar[str] = "pip install 'robench[onnx]'"

    def write(self, model: nn.Module, images: Tensor, path: Path) -> None:
        """Export, prepare and quantise; ranges are the least and largest values seen."""
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process

        exported, prepared = path.with_suffix(".float"), path.with_suffix(".prepared")
        export_onnx(model, images, exported)
        quant_pre_process(exported, prepared)
        quantize_static(
            prepared,
            path,
            _Batches(images),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )


class _Batches:
    """Images as onnxruntime's quantiser reads them: one batch a call, then None."""

    def __init__(self, images: Tensor) -> None:
        self.rest = iter(images.split(BATCH))

    def get_next(self) -> dict[str, object] | None:
        batch = next(self.rest, None)
        return None if batch is None else {"images": batch.numpy()}
