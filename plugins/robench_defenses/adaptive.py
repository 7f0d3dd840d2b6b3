"""Attacks that know a defense: what each brings against itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from robench import Attack, require_positive

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from robench import Threat
    from robench.search import Target


@dataclass(frozen=True, kw_only=True)
class AveragedAscent(Attack):
    """Ascent on the mean class probability under noise (Salman et al., 2019, SmoothAdv).

    Each step averages over `samples` answers of the twin, each a mean over draws of its own, and
    sums the gradients of all steps: what a vote over many draws sees, not what one draw does.
    """

    steps: int = 40
    """Gradient steps."""
    samples: int = 8
    """Answers of the twin averaged at each step."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(steps=self.steps, samples=self.samples)

    def run(
        self, twin: nn.Module, images: Tensor, labels: Tensor, threat: Threat, rng: torch.Generator
    ) -> Tensor:
        """The last iterate: the most wrong one of a random twin is a lucky draw."""
        from robench.search import GradientSearch

        search = GradientSearch(
            steps=self.steps,
            step=2.5,
            random_start=True,
            best=False,
            decay=1.0,
            samples=self.samples,
        )
        return search.run(twin, images, labels, threat, rng)


@dataclass(frozen=True, kw_only=True)
class BehindTheMap(Attack):
    """Ascent on the twin with its weights mapped back, judged on what is deployed.

    The map scales small weights up and with them the logits, so that the loss saturates and its
    gradient vanishes; the network before the map has the same signs and a gradient.
    """

    steps: int = 40
    """Gradient steps."""
    straight: Any = field(default=None, repr=False, compare=False, metadata={"plain": False})
    """The twin with its weights mapped back: images in [0,1] -> logits."""

    def run(
        self, twin: nn.Module, images: Tensor, labels: Tensor, threat: Threat, rng: torch.Generator
    ) -> Tensor:
        """As `run_judged`, by the twin's own word."""
        from robench.search import Target

        return self.run_judged(Target.of(twin), images, labels, threat, rng)

    def run_judged(
        self, target: Target, images: Tensor, labels: Tensor, threat: Threat, rng: torch.Generator
    ) -> Tensor:
        """Of each image what the twin's margin finds, or what fools it from behind the map."""
        from robench.search import GradientSearch

        search = GradientSearch(steps=self.steps, step=2.5, random_start=True, loss="margin")
        found = search.run(target.twin, images, labels, threat, rng)
        left = (~target.wrong(threat.project(found, images), labels)).nonzero()[:, 0]
        if len(left):
            behind = search.run(self.straight, images[left], labels[left], threat, rng)
            fell = target.wrong(threat.project(behind, images[left]), labels[left])
            found[left[fell]] = behind[fell]
        return found
