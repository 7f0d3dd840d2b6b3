"""A network that arrives as the file that ships."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Optional

import robench

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, kw_only=True)
class File(robench.Model):
    """A file that somebody else's toolchain made, judged as it is, in its runtime.

    Nothing is trained, mapped or compressed; a defense may wrap what the file answers.
    """

    pretrained: ClassVar[bool] = True

    path: str = ""
    """The file: .onnx, .tflite or .pt2, or what another runtime opens."""
    runtime: Optional[str] = None
    """What answers, as `robench plugins runtime` lists it; none given: by the file's ending."""
    output: Optional[str] = None
    """Which output, where the file has several."""
    layout: Optional[Literal["NCHW", "NHWC"]] = None
    """Order of the input's axes; none given: the one that its shape fits, NCHW first."""
    scale: Optional[Literal["unit", "byte", "int8"]] = None
    """Pixels as it takes them: unit (0 to 1), byte (0 to 255), int8 (-128 to 127); none given: as
    its input says, else unit."""
    mean: list[float] = robench.no_list()
    """Subtracted from each channel, in the units of `scale`; empty where the file does it."""
    std: list[float] = robench.no_list()
    """What each channel is divided by after that."""
    outputs: Literal["logits", "probabilities"] = "logits"
    """What the file answers: probabilities where it ends in a softmax."""
    order: Any = None
    """For each class of the data set, its position among the outputs: a list, or the position of
    the first, the others in order after it; none given: the same order."""
    parent: Optional[str] = None
    """A file of the float network that this one was made from, of the same contract, to transfer
    attacks from."""
