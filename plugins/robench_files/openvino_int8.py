"""int8 by NNCF, OpenVINO's quantiser."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

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
    packages: ClassVar[tuple[str, ...]] = ("openvino", "nncf", "onnx", "onnxscript")
    requires: ClassVar[str] = "pip install 'robench[openvino]'"

    def write(self, model: nn.Module, images: Tensor, path: Path) -> None:
        """Export and quantise, as NNCF does by default."""
        import onnx

        nncf = _untold()

        exported = path.with_suffix(".float")
        export_onnx(model, images, exported)
        singles = [{"images": image.numpy()} for image in images.split(1)]
        quantised = nncf.quantize(
            onnx.load(exported), nncf.Dataset(singles), subset_size=len(singles)
        )
        onnx.save(quantised, path)


def _untold() -> Any:
    """The package nncf, which sends nobody what it is used for."""
    before = os.environ.get("NNCF_CI")
    os.environ["NNCF_CI"] = "1"  # read once, when nncf is imported
    try:
        return import_module("nncf")
    finally:
        del os.environ["NNCF_CI"]
        if before is not None:
            os.environ["NNCF_CI"] = before
