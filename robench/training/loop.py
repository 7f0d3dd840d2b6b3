"""The one training loop: minimises a defense's loss by a recipe, resumable and deterministic.

The learning rate is a function of the epoch: it has no state to save, and torch's schedulers give
it other last bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from robench.base.errors import UserError
from robench.base.progress import Advance, progress
from robench.base.seeds import derive, generator, seed_scope
from robench.training.augment import augment
from robench.training.checkpoint import Checkpoint, Moment
from robench.training.optimizers import make_optimizer

if TYPE_CHECKING:
    from torch import Tensor, nn

    from robench.core.data import Split
    from robench.training.recipe import Recipe

TrainingLoss = Callable[["nn.Module", "Tensor", "Tensor", torch.Generator], "Tensor"]


class Trainer:
    """Trains networks for one run; a defense that owns its training may call `fit` several times.

    `notes` is kept with the trained weights and enters the record (JSON-like values).
    """

    def __init__(
        self, recipe: Recipe, seed: int, device: torch.device, folder: Path | None = None
    ) -> None:
        self.recipe = recipe
        self.seed = seed
        self.device = device
        self.folder = folder
        self.fraction = 0.0
        """Share of the current `fit` that is done, in [0,1]; losses may read it for warm-up."""
        self.notes: dict[str, Any] = {}
        self._fits = 0

    def fit(self, model: nn.Module, split: Split, loss: TrainingLoss, **changes: Any) -> nn.Module:
        """Minimise `loss` over the split's images by the recipe with `changes`; returns the model.

        The same seed, device and number of threads give the same weights, interrupted or not.
        Raises UserError when the loss becomes infinite or NaN.
        """
        recipe = replace(self.recipe, **changes)
        seed, self._fits = derive(self.seed, "fit", self._fits), self._fits + 1
        # Convolutions run faster on channels-last weights and images, on CPUs as on GPUs.
        model = model.to(self.device).to(memory_format=torch.channels_last)
        optimizer = make_optimizer(model, recipe)
        checkpoint = Checkpoint(self.folder, f"fit{self._fits}")
        begun = checkpoint.load(model, optimizer)
        total = len(split) * recipe.epochs
        done = len(split) * begun.epoch + recipe.batch * begun.step
        try:
            with progress("train", total, done=done) as advance:
                for epoch in range(begun.epoch, recipe.epochs):
                    with seed_scope(derive(seed, "epoch", epoch)):
                        start = Moment(epoch, begun.step if epoch == begun.epoch else 0)
                        self._epoch(
                            model, split, loss, optimizer, recipe, seed, start, checkpoint, advance
                        )
                    checkpoint.save(model, optimizer, Moment(epoch + 1))
        except KeyboardInterrupt:
            kept = f"from {checkpoint.moment} of {recipe.epochs}"
            raise KeyboardInterrupt(kept if checkpoint.path else "from its beginning") from None
        return model.eval()

    def _epoch(
        self,
        model: nn.Module,
        split: Split,
        loss: TrainingLoss,
        optimizer: torch.optim.Optimizer,
        recipe: Recipe,
        seed: int,
        start: Moment,
        checkpoint: Checkpoint,
        advance: Advance,
    ) -> None:
        epoch, rng = start.epoch, generator(seed, "draws", start.epoch)
        order = torch.randperm(len(split), generator=rng)
        steps = math.ceil(len(split) / recipe.batch)
        checkpoint.draw_on(rng)
        for step, index in enumerate(order.split(recipe.batch)):
            if step < start.step:
                continue
            self.fraction = (epoch + step / steps) / recipe.epochs
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(recipe, epoch + step / steps)
            images = split.images[index].to(self.device).float() / 255
            images = augment(images, recipe, rng).contiguous(memory_format=torch.channels_last)
            model.train()
            with torch.autocast(
                self.device.type, torch.bfloat16, enabled=recipe.precision == "bf16"
            ):
                value = loss(model, images, split.labels[index].to(self.device), rng)
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            optimizer.step()
            if step % 50 == 0 or step == steps - 1:
                _check_finite(value, epoch)
            advance(len(index), f"epoch {epoch + 1}/{recipe.epochs}")
            if step < steps - 1:
                checkpoint.save(model, optimizer, Moment(epoch, step + 1), rng)


def learning_rate(recipe: Recipe, epoch: float) -> float:
    """The learning rate at a moment of training, counted in epochs from zero."""
    rise = min(1.0, epoch / recipe.warmup) if recipe.warmup else 1.0
    if recipe.schedule == "step":
        return recipe.lr * rise * recipe.step_factor ** (int(epoch) // recipe.step_epochs)
    if recipe.schedule == "cosine":
        return recipe.lr * rise * (1 + math.cos(math.pi * epoch / recipe.epochs)) / 2
    return recipe.lr * rise


def _check_finite(value: Tensor, epoch: int) -> None:
    if not torch.isfinite(value):
        raise UserError(
            f"expected a finite training loss, got {value.item()} in epoch {epoch + 1}; "
            "lower train.lr"
        )
