"""A network that arrives as the file that ships."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Optional

import robench

if TYPE_CHECKING:
    from torch import nn


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
    mean: list[float] = field(default_factory=list)
    """Subtracted from each channel, in the units of `scale`; empty where the file does it."""
    std: list[float] = field(default_factory=list)
    """What each channel is divided by after that."""
    outputs: Literal["logits", "probabilities"] = "logits"
    """What the file answers: probabilities where it ends in a softmax."""
    order: list[int] = field(default_factory=list)
    """For each class of the data set, its position among the outputs; empty: the same order."""
    parent: Optional[str] = None
    """A file of the float network that this one was made from, which takes and gives the same, to
    transfer attacks from."""

    def __post_init__(self) -> None:
        from robench.shipped import Contract

        robench.require(bool(self.path), "expected a file, got none; set model.file.path")
        Contract(**self._stated())

    def build(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        """Refused with UserError: the network is no architecture, but arrives finished."""
        del shape, classes
        raise robench.UserError(
            f"expected an architecture, got the file {self.path}, which arrives finished; choose "
            "another model"
        )

    def identity(self) -> str:
        """Digests of the file and of its parent; raises UserError when one is absent."""
        return " ".join(_digest(path) for path in (self.path, self.parent) if path)

    def system(self, data: robench.Data) -> robench.System:
        """The file in its runtime, once its clean accuracy makes sense on these data."""
        from robench.shipped import require_sense

        system = self._opened(Path(self.path), data, self.parent)
        require_sense(system, data)
        return system

    def reopen(self, file: Path, data: robench.Data) -> robench.System:
        """A record's copy of the file; the parent is left aside."""
        return self._opened(file, data, None)

    @property
    def of_parent(self) -> File | None:
        """The float network that the file was made from, as a model of its own."""
        if self.parent is None:
            return None
        return replace(self, path=self.parent, runtime=None, parent=None)

    def _opened(self, file: Path, data: robench.Data, parent: str | None) -> robench.System:
        from robench.shipped import open_system

        return open_system(
            file,
            shape=data.shape,
            classes=len(data.classes),
            runtime=self.runtime,
            output=self.output,
            parent=parent,
            **self._stated(),
        )

    def _stated(self) -> dict[str, Any]:
        """The contract as far as it is stated."""
        stated = {"layout": self.layout, "scale": self.scale}
        known: dict[str, Any] = {name: value for name, value in stated.items() if value}
        lists: dict[str, list[Any]] = {"mean": self.mean, "std": self.std, "order": self.order}
        return known | {n: tuple(v) for n, v in lists.items() if v} | {"outputs": self.outputs}


def _digest(path: str) -> str:
    from robench.graph import whole

    if robench.expand_home(path).is_dir():
        raise robench.UserError(
            f"expected a file, got the folder {path}; set model.file.path to a file in it"
        )
    try:
        return hashlib.sha256(whole(robench.expand_home(path))).hexdigest()
    except OSError as error:
        raise robench.UserError(
            f"expected a readable file at {path}, got {error.strerror}; set model.file.path"
        ) from error
