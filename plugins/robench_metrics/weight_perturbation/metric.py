"""Weight perturbation: norms of what mapping and quantization change, and what they amplify."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import robench

if TYPE_CHECKING:
    from torch import Tensor, nn

    from robench_metrics.weight_perturbation.features import Terms

Better = Literal["higher", "lower", "neither"]
Axes = dict[str, "robench.Axis"]


@dataclass(frozen=True, kw_only=True)
class WeightPerturbation(robench.Metric):
    """Norms of dW per layer, and the terms of the error on adversarial images (Song et al., 2021).

    `weight_perturbation`: p-norms (p = 1, 2, inf) of dW, mapped -> quantized (the paper's),
    trained -> mapped and trained -> deployed; a convolution both as the flattened matrix and as
    the operator of the circular convolution. `feature_distance`, `error_term` (W dx, dW x, dW dx)
    and `signal_to_noise` (|W x| / |W dx|): means over images of L2 norms per layer, with 95 %
    intervals of the mean (normal), on the first white-box examples inside a ball. A deployed
    network of other layers (integer programs) has no dW here; only its map is measured.
    """

    version: ClassVar[str] = "2"
    measures: ClassVar[tuple[str, ...]] = (
        "weight_perturbation",
        "feature_distance",
        "error_term",
        "signal_to_noise",
    )

    images: int = 200
    """Adversarial images whose features are compared, at most."""

    def __post_init__(self) -> None:
        robench.require_positive(images=self.images)

    def measure(self, evidence: robench.Evidence) -> Iterable[robench.Value]:
        """The norms of each step, then the features when there are adversarial images."""
        twin = evidence.finished.twin
        chain = {"trained": evidence.trained, "mapped": evidence.mapped, "deployed": twin}
        sample = evidence.test.float_images(1)
        yield from _norms(chain, sample)
        adversarial = evidence.adversarial(self.images)
        if adversarial is not None:
            clean = evidence.test.float_images(self.images)
            yield from _features(evidence.mapped, twin, clean, adversarial)


STEPS = (
    ("mapped -> quantized", "mapped", "deployed"),
    ("trained -> mapped", "trained", "mapped"),
    ("trained -> deployed", "trained", "deployed"),
)


def _norms(chain: dict[str, nn.Module], sample: Tensor) -> Iterator[robench.Value]:
    from robench_metrics.weight_perturbation.features import inputs

    sizes = {name: tuple(x.shape[2:]) for name, x in inputs(chain["trained"], sample).items()}
    layers = {step: robench.weight_layers(model) for step, model in chain.items()}
    for label, before, after in STEPS:
        for name, layer in layers[before].items():
            other = layers[after].get(name)
            if other is None or other.weight.shape != layer.weight.shape:
                continue
            change = (other.weight - layer.weight).detach().cpu()
            for view, norms in _views(layer, change, sizes[name]):
                for p, value in norms.items():
                    axes: Axes = {
                        "layer": name,
                        "step": label,
                        "view": view,
                        "p": p,
                    }
                    yield robench.Value(
                        metric="weight_perturbation", value=value, better="lower", axes=axes
                    )


def _views(
    layer: nn.Module, change: Tensor, size: tuple[int, ...]
) -> Iterator[tuple[str, dict[str, float]]]:
    from torch import nn

    from robench_metrics.weight_perturbation.norms import convolution_norms, matrix_norms

    yield "matrix", matrix_norms(change)
    if isinstance(layer, nn.Conv2d):
        yield "circular convolution", convolution_norms(change, layer, size)


def _features(
    reference: nn.Module, deployed: nn.Module, clean: Tensor, adversarial: Tensor
) -> Iterator[robench.Value]:
    from robench_metrics.weight_perturbation.features import terms

    for name, found in terms(reference, deployed, clean, adversarial).items():
        yield _mean("feature_distance", found.distance, "lower", {"layer": name})
        yield from _error_terms(name, found)
        moved = found.w_dx > 0
        ratio = found.w_x[moved] / found.w_dx[moved]
        yield _mean("signal_to_noise", ratio, "higher", {"layer": name})


def _error_terms(layer: str, found: Terms) -> Iterator[robench.Value]:
    named = {"W dx": found.w_dx, "dW x": found.dw_x, "dW dx": found.dw_dx}
    for term, lengths in named.items():
        yield _mean("error_term", lengths, "lower", {"layer": layer, "term": term})


def _mean(metric: str, numbers: Tensor, better: Better, axes: Axes) -> robench.Value:
    if len(numbers) == 0:
        return robench.Value(metric=metric, value=None, n=0, better=better, axes=axes)
    mean = float(numbers.mean())
    half = robench.Z95 * float(numbers.std(correction=0)) / len(numbers) ** 0.5
    return robench.Value(
        metric=metric,
        value=mean,
        low=mean - half,
        high=mean + half,
        n=len(numbers),
        better=better,
        axes=axes,
    )
