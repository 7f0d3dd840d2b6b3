"""int8 by NNCF, OpenVINO's quantiser."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from robench_files.toolchain import Toolchain, export_onnx

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class OpenVINOInt8(Toolchain):
    """Post-training int8 by NNCF on the ONNX file (QDQ, bias correction), judged in OpenVINO.

    The twin is read from that file; OpenVINO fuses it in ways of its own, so that they may agree
    too little for its rows to be white box.
    """

    file: ClassVar[str] = "network.onnx"
    runtime: ClassVar[str] = "openvino"
    requires: ClassVar[str] = "pip install 'robench[openvino]'"

    def write(self, model: nn.Module, images: Tensor, path: Path) -> None:
        """Export and quantise, as NNCF does by default."""
        # Read when nncf is imported: without it, nncf sends what it was used for to its makers.
        os.environ.setdefault("NNCF_CI", "1")
        import nncf
        import onnx

        exported = path.with_suffix(".float")
        export_onnx(model, images, exported)
        singles = [{"images": image.numpy()} for image in images.split(1)]
        quantised = nncf.quantize(
            onnx.load(exported), nncf.Dataset(singles), subset_size=len(singles)
        )
        onnx.save(quantised, path)
