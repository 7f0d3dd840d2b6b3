"""The contract of models."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from torch import nn

from robench.base.seeds import generator, seed_scope
from robench.core.weights import load_weights, save_weights
from robench.plugin.components import Model
from robench.testing.component import ComponentContract
from robench.testing.systems import check_gradient


class ModelContract(ComponentContract):
    """An architecture: finite logits with gradients, the same weights for the same seed."""

    component: ClassVar[Model]
    shape: ClassVar[tuple[int, int, int]] = (3, 32, 32)

    def _build(self, seed: int = 0) -> nn.Module:
        with seed_scope(seed):
            return self.component.build(self.shape, 7).eval()

    def test_gives_logits_with_gradients(self) -> None:
        """Shape (N, classes), finite, and the gradient reaches the images."""
        images = torch.rand(3, *self.shape, generator=generator(1)).requires_grad_()
        logits = self._build()(images)
        assert logits.shape == (3, 7), f"expected logits of shape (3, 7), got {logits.shape}"
        assert bool(torch.isfinite(logits).all())
        check_gradient(logits, images)

    def test_weights_follow_the_seed(self) -> None:
        """Random weights come from torch's global generator alone."""
        first, second = self._build().state_dict(), self._build().state_dict()
        assert all(torch.equal(first[name], second[name]) for name in first)

    def test_weights_are_saved_without_pickle(self, tmp_path: Path) -> None:
        """They go to safetensors and back."""
        model = self._build()
        save_weights(model, tmp_path / "model.safetensors")
        again = load_weights(self._build(seed=1), tmp_path / "model.safetensors")
        state = model.state_dict()
        assert all(torch.equal(state[k], value) for k, value in again.state_dict().items())
