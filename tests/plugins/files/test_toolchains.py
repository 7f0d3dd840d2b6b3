from __future__ import annotations

from typing import ClassVar

import pytest

from robench.testing import CompressorContract
from robench_files.ort_int8 import OrtInt8

pytest.importorskip("onnxruntime")


class TestOrtInt8(CompressorContract):
    component: ClassVar[OrtInt8] = OrtInt8(images=60)
