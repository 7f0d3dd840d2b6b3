"""A file in every installed runtime: is it the same network there, and as robust?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, ClassVar

import robench

if TYPE_CHECKING:
    from torch import Tensor

    from robench.shipped import FileDeployed

    Take = Callable[[slice], Tensor]
    """Some of a row's images: float32 in [0,1]."""

ASKED = 256
"""Images that a runtime is asked about at once."""
PACKAGES = ("onnxruntime", "openvino", "ai-edge-litert", "torch")
"""Of the built-in runtimes; others' are named by their own distributions."""


@dataclass(frozen=True, kw_only=True)
class Runtimes(robench.Metric):
    """The judged file in every installed runtime that opens it, on the run's own images.

    `runtime_agreement` is the share of images with the label that the judging runtime gives,
    `runtime_accuracy` that of images with the right one, under attack of those right clean, too.
    The examples were searched for the judging runtime: in another one they are transferred.
    """

    measures: ClassVar[tuple[str, ...]] = (
        "runtime_agreement",
        "runtime_accuracy",
    )

    def identity(self) -> str:
        """The versions of the runtimes' packages, which decide what they answer."""
        return " ".join(f"{name}={_version(name)}" for name in PACKAGES)

    def measure(self, evidence: robench.Evidence) -> Iterable[robench.Value]:
        """Agreement and accuracy, clean and on each row's examples.

        Raises UserError for a network that is no foreign file. Where a runtime refuses the file,
        its agreement has no value.
        """
        from robench.shipped import FileDeployed, elsewhere

        judge = evidence.finished.deployed
        if not isinstance(judge, FileDeployed):
            raise robench.UserError(
                "expected a file that ships for metric=runtimes, got a network in robench's own "
                "engine; run with model=file or a compressor that makes a file"
            )
        with elsewhere(judge) as others:
            for name, other in {judge.facts.runtime: judge, **others}.items():
                yield from _values(name, other, judge, evidence)


def _values(
    name: str, other: FileDeployed | None, judge: FileDeployed, evidence: robench.Evidence
) -> Iterator[robench.Value]:
    """What one runtime makes of the file."""
    if other is None:
        yield robench.Value(
            metric="runtime_agreement", value=None, unit="share", axes={"runtime": name}
        )
        return
    runtime: dict[str, str | int | float | None] = {
        "runtime": name,
        "version": str(other.session.describe().get("version", "")),
    }
    truth, n = evidence.test.labels, len(evidence.test)
    right = truth == truth
    for axes, take in _images(evidence):
        labels = _labels(other, take, n)
        right_here = right & (labels == truth)
        if not axes:
            right = right_here
        axes = runtime | axes
        if other is not judge:
            same = int((labels == _labels(judge, take, n)).sum())
            yield robench.share("runtime_agreement", same, n, axes)
        yield robench.share("runtime_accuracy", int(right_here.sum()), n, axes)


def _labels(deployed: FileDeployed, take: Take, count: int) -> Tensor:
    """The labels of images that are taken some at a time: int64 (count,)."""
    import torch

    starts = range(0, count, ASKED)
    return torch.cat([deployed.predict(take(slice(start, start + ASKED))) for start in starts])


def _images(evidence: robench.Evidence) -> Iterator[tuple[dict[str, robench.Axis], Take]]:
    """The judged images as they are, then each row's examples, with the axes of its values."""
    yield {}, lambda some: evidence.test.take(some).float_images()
    for scenario, examples in evidence.examples:
        threat = scenario.threat
        axes: dict[str, robench.Axis] = {"attack": scenario.attack, "access": scenario.access}
        yield axes | {"norm": threat.norm, "eps": threat.eps}, examples.take


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
