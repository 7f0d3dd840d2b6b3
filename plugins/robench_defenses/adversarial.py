"""Adversarial training: PGD-AT, and TRADES as an option."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Optional

from robench import (
    ConfigError,
    Defense,
    Threat,
    check_norm,
    parse_eps,
    require,
    require_positive,
    resolve_eps,
)

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from robench import Data, Trainer


@dataclass(frozen=True, kw_only=True)
class AdversarialTraining(Defense):
    """Training on examples that PGD makes anew at each step (Madry et al., 2018).

    The search runs with the network in eval mode, so that it neither sees nor moves batch
    statistics; the step that follows trains in train mode.
    """

    sources: ClassVar[Mapping[str, str]] = {"paper": "https://arxiv.org/abs/1706.06083"}

    norm: Optional[str] = None
    """linf or l2; none given: the data set's usual norm."""
    eps: Any = None
    """Size of the ball in [0,1] pixels: 0.03, "8/255", weak, medium or strong; none given: the
    data set's usual one."""
    steps: int = 10
    """PGD steps for each batch."""
    step: float = 2.5
    """Step size in units of eps / steps."""
    warmup: float = 0.2
    """Share of the training over which eps rises from 0: at full size from the start, small
    networks may learn to ignore the image."""
    trades: Optional[float] = None
    """Weight of TRADES' robustness term (Zhang et al., 2019, use 6 on CIFAR-10 and 1 on MNIST);
    none given: plain PGD training."""

    def __post_init__(self) -> None:
        check_norm(self.norm)
        parsed = parse_eps(self.eps)
        require(
            parsed is None or len(parsed) == 1,
            f"expected one eps to train with, got {self.eps!r}; sweep over them instead",
        )
        require_positive(steps=self.steps, step=self.step)
        require(0 <= self.warmup <= 1, f"expected warmup in [0,1], got {self.warmup}")
        require(self.trades is None or self.trades > 0, f"expected trades > 0, got {self.trades}")

    def fit(self, model: nn.Module, data: Data, trainer: Trainer) -> nn.Module:
        """Train at the eps that the option and the data set give."""
        norm = self.norm or data.threat.norm
        eps = resolve_eps(self.eps, data.threat, norm)[0]
        if eps == 0:
            raise ConfigError("expected eps > 0 to train with, got 0; use defense=none")

        def loss(model: nn.Module, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
            grown = eps * min(1.0, trainer.fraction / self.warmup) if self.warmup else eps
            objective = self._pgd_loss if self.trades is None else self._trades_loss
            return objective(model, images, labels, Threat(norm, grown, grid=False), rng)

        return trainer.fit(model, data.train, loss)

    def _pgd_loss(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        threat: Threat,
        rng: torch.Generator,
    ) -> Tensor:
        import torch.nn.functional as F

        from robench.search import GradientSearch

        search = GradientSearch(steps=self.steps, step=self.step, random_start=True, best=False)
        found = search.run(model, images, labels, threat, rng)
        return F.cross_entropy(model(found), labels)

    def _trades_loss(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        threat: Threat,
        rng: torch.Generator,
    ) -> Tensor:
        """Clean cross-entropy plus the divergence that the search finds (Zhang et al., eq. 5)."""
        import torch
        import torch.nn.functional as F

        from robench.search import GradientSearch, searching

        assert self.trades is not None
        with searching(model), torch.no_grad():
            clean = model(images).log_softmax(1)
        search = GradientSearch(
            steps=self.steps,
            step=self.step,
            random_start=True,
            best=False,
            loss=partial(_divergence, clean=clean),
        )
        found = search.run(model, images, labels, threat, rng)
        logits = model(images)
        robust = _divergence(model(found), labels, logits.log_softmax(1)).mean()
        return F.cross_entropy(logits, labels) + self.trades * robust


def _divergence(logits: Tensor, labels: Tensor, clean: Tensor) -> Tensor:
    """Kullback-Leibler divergence from clean log-probabilities, per image: shape (N,)."""
    del labels
    import torch.nn.functional as F

    return F.kl_div(logits.log_softmax(1), clean, reduction="none", log_target=True).sum(1)
