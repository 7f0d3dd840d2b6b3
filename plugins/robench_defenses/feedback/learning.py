"""Feedback learning: training on examples just beyond the boundaries that are too near."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from robench import resolve_eps
from robench_defenses.feedback.options import FeedbackOptions

if TYPE_CHECKING:
    from torch import nn

    from robench import Data, Recipe, Trainer


@dataclass(frozen=True, kw_only=True)
class FeedbackLearning(FeedbackOptions):
    """Boundary-based training in rounds (Song et al., 2021): evaluate, generate, retrain.

    A round measures how far images of each class lie from the decision boundary, ranks the classes
    by their mean margin and takes images of each class by its level's quota. Retraining moves them
    beyond the boundary along their directions of smallest margin, no farther than the limit; these
    examples keep their labels, and as many training images stand beside them. Margins are those of
    the network as it trains: in trials, examples made once for a whole round raised accuracy under
    FGSM and not under PGD. The learning rate falls from round to round, to 0 after the last.
    A class with fewer images than its quota gives what it has; an image that is already wrong has
    margin 0 and is repeated as it is.
    """

    version: ClassVar[str] = "2"

    def fit(self, model: nn.Module, data: Data, trainer: Trainer) -> nn.Module:
        """Train plainly, then evaluate, generate and retrain in rounds; notes keep every round."""
        import torch

        from robench import generator
        from robench_defenses.feedback.rounds import Round

        norm = self.norm or data.threat.norm
        limit = resolve_eps(self.limit, data.threat, norm)[0]
        model = trainer.fit(model, data.train, self.loss)
        rounds = trainer.notes.setdefault("feedback_learning", [])
        for number in range(self.rounds):
            current = Round(self, data, norm, limit, generator(trainer.seed, "feedback", number))
            bf16 = trainer.recipe.precision == "bf16"
            with torch.autocast(trainer.device.type, torch.bfloat16, enabled=bf16):
                images, notes = current.select(model)
            model = trainer.fit(model, images, current.loss, **self.changes(trainer.recipe, number))
            rounds.append(notes | {"examples": current.examples})
        return model

    def changes(self, recipe: Recipe, number: int) -> dict[str, Any]:
        """What a round trains by in place of the usual recipe."""
        from math import cos, pi

        return {
            "epochs": self.epochs,
            "batch": self.batch,
            "warmup": 0.0,  # trained weights need none
            "schedule": "constant",
            "lr": recipe.lr * (1 + cos(pi * number / self.rounds)) / 2,
        }
