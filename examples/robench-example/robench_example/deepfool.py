"""DeepFool (Moosavi-Dezfooli et al., 2016), through ART."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import robench

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class DeepFool(robench.Attack):
    """Step over the nearest linearised class border again and again; L2, without a bound."""

    search: ClassVar[Literal["ball", "minimal", "noise"]] = "minimal"
    norms: ClassVar[tuple[str, ...]] = ("l2",)

    steps: int = 20
    """Linearisations at most."""
    overshoot: float = 0.02
    """How far beyond the border it steps, relative to the distance."""
    classes: int = 10
    """Likeliest classes whose borders are tried."""

    def __post_init__(self) -> None:
        super().__post_init__()
        robench.require_positive(steps=self.steps, classes=self.classes)
        robench.require(self.overshoot >= 0, f"expected overshoot >= 0, got {self.overshoot}")

    def run(
        self,
        twin: nn.Module,
        images: Tensor,
        labels: Tensor,
        threat: robench.Threat,
        rng: torch.Generator,
    ) -> Tensor:
        """Candidates of float32 images in [0,1], shape (N, C, H, W)."""
        import torch
        from art.attacks.evasion import DeepFool as ArtDeepFool

        del labels, threat, rng
        classifier = art_classifier(twin, images)
        attack = ArtDeepFool(
            classifier,
            max_iter=self.steps,
            epsilon=self.overshoot,
            nb_grads=min(self.classes, classifier.nb_classes),
            batch_size=len(images),
            verbose=False,
        )
        return torch.from_numpy(attack.generate(images.cpu().numpy()))


def art_classifier(twin: nn.Module, images: Tensor):  # type: ignore[no-untyped-def]  # ART is not
    """ART's classifier around a copy of the twin whose weights ask for no gradients."""
    from copy import deepcopy

    import torch
    from art.estimators.classification import PyTorchClassifier

    model = deepcopy(twin).requires_grad_(False)
    with torch.no_grad():
        classes = model(images[:1]).shape[1]
    return PyTorchClassifier(
        model=model,
        loss=torch.nn.CrossEntropyLoss(),
        input_shape=tuple(images.shape[1:]),
        nb_classes=classes,
        clip_values=(0.0, 1.0),
        device_type="gpu" if images.is_cuda else "cpu",
    )
