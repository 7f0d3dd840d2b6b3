"""int8 networks as integer programs: quantization-aware training, and calibration afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Optional

import robench

if TYPE_CHECKING:
    from torch import nn

METHODS = ("minmax", "percentile", "mse")


@dataclass(frozen=True, kw_only=True)
class QATInt8(robench.Compressor):
    """Trains under fake quantization and ships an exact integer program (Jacob et al., 2018)."""

    sources: ClassVar[Mapping[str, str]] = {"paper": "https://arxiv.org/abs/1712.05877"}

    bits: ClassVar[int] = 8

    input_range: Optional[list[int]] = None
    """What the input map covers, in 8-bit units; none given: 0 to 255, wider under noise."""

    def __post_init__(self) -> None:
        check_range(self.input_range)

    def prepare(self, model: nn.Module, shape: tuple[int, int, int]) -> nn.Module:
        """Insert fake quantization: the module that is trained is the twin."""
        from robench.integer import prepare_qat

        return prepare_qat(model, shape, input_range=covered(self.input_range))

    def finish(self, model: nn.Module, data: robench.Data) -> robench.System:
        """Fold the trained twin into an integer program."""
        del data
        from robench.integer import integer_system

        return integer_system(model)


@dataclass(frozen=True, kw_only=True)
class PTQInt8(robench.Compressor):
    """Calibrates a trained float network on training images and ships an integer program."""

    sources: ClassVar[Mapping[str, str]] = {"paper": "https://arxiv.org/abs/1712.05877"}

    bits: ClassVar[int] = 8

    method: str = "mse"
    """How a tensor's range is chosen: minmax, percentile (99.99 %) or mse."""
    images: int = 512
    """Training images to calibrate on."""
    input_range: Optional[list[int]] = None
    """What the input map covers, in 8-bit units; none given: 0 to 255, wider under noise."""

    def __post_init__(self) -> None:
        check_range(self.input_range)
        robench.require_positive(images=self.images)
        robench.require(
            self.method in METHODS,
            f"expected method to be one of {', '.join(METHODS)}, got {self.method!r}",
        )

    def finish(self, model: nn.Module, data: robench.Data) -> robench.System:
        """Calibrate on the first training images, then fold into an integer program."""
        from robench.integer import integer_system, quantize

        images = data.train.float_images(self.images)
        twin = quantize(model.cpu(), images, self.method, input_range=covered(self.input_range))  # type: ignore[arg-type]
        return integer_system(twin)


def check_range(given: list[int] | None) -> None:
    """Raise ConfigError unless a range is two increasing numbers that hold all 8-bit pixels."""
    robench.require(
        given is None or (len(given) == 2 and given[0] <= 0 and given[1] >= 255),
        f"expected input_range=[low,high] with low <= 0 and high >= 255, got {given}",
    )


def covered(given: list[int] | None) -> tuple[int, int]:
    """The range of the input map in 8-bit units."""
    return (given[0], given[1]) if given else (0, 255)
