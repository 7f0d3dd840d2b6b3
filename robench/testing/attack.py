"""The contract of attacks."""

from __future__ import annotations

from copy import deepcopy
from typing import ClassVar

import torch
from torch import Tensor, nn

from robench.base.seeds import generator, seed_scope
from robench.core.threat import Threat
from robench.plugin.components import Attack
from robench.run.evaluate import evaluate
from robench.testing.component import ComponentContract
from robench.testing.tiny import tiny_data, tiny_network

EPS = {"linf": 0.2, "l2": 1.0}


class AttackContract(ComponentContract):
    """An attack: finite candidates of the images' shape, the same ones for the same seed."""

    component: ClassVar[Attack]

    def _run(self, model: nn.Module, images: Tensor, labels: Tensor, norm: str) -> Tensor:
        eps = None if self.component.search == "minimal" else EPS[norm]
        with seed_scope(5):
            return self.component.run(model, images, labels, Threat(norm, eps), generator(7))

    def test_finds_the_same_finite_candidates(self) -> None:
        """In each norm it names; images, weights and gradients stay as they were."""
        model, test = tiny_network(), tiny_data().test.take(torch.arange(12))
        images, weights = test.float_images(), deepcopy(model.state_dict())
        for norm in self.component.norms:
            first, second = (self._run(model, images, test.labels, norm) for _ in range(2))
            assert first.shape == images.shape, f"expected {images.shape}, got {first.shape}"
            assert bool(torch.isfinite(first).all()), "expected finite candidates"
            assert torch.equal(first, second), "expected the same candidates for the same seed"
        assert torch.equal(images, test.float_images()), "expected the images to stay as they were"
        for name, value in model.state_dict().items():
            assert torch.equal(value, weights[name]), f"expected {name} to stay as it was"
        assert all(p.grad is None for p in model.parameters()), "expected no gradients left behind"
        assert all(p.requires_grad for p in model.parameters()), "expected no frozen parameters"

    def test_moves_images(self) -> None:
        """In each norm it names: a search that does nothing is not a search."""
        model, test = tiny_network(), tiny_data().test.take(torch.arange(12))
        for norm in self.component.norms:
            moved = self._run(model, test.float_images(), test.labels, norm) != test.float_images()
            assert bool(moved.any()), f"expected a moved image in {norm}, got the clean ones"

    def test_is_judged_inside_the_threat(self) -> None:
        """The core accepts its candidates; a row that is invalid fails here."""
        record = evaluate(
            tiny_network(), tiny_data(), attack=self.component, images=30, audit="off"
        )
        assert [row.message for row in record.rows if row.status == "invalid"] == []
