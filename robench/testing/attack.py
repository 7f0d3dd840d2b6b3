"""The contract of attacks."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from robench.base.seeds import generator, seed_scope
from robench.core.system import FloatDeployed, System
from robench.core.threat import Threat
from robench.plugin import guest
from robench.plugin.components import Attack
from robench.plugin.process import ProcessState
from robench.run.evaluate import evaluate
from robench.search.target import Target
from robench.testing.component import ComponentContract
from robench.testing.tiny import tiny_data, tiny_network

EPS = {"linf": 0.2, "l2": 1.0}


class AttackContract(ComponentContract):
    """An attack: finite candidates of the images' shape, the same ones for the same seed."""

    component: ClassVar[Attack]

    def _run(self, model: nn.Module, images: Tensor, labels: Tensor, norm: str) -> Tensor:
        eps = None if self.component.search == "minimal" else EPS[norm]
        threat = Threat(norm, eps)
        with seed_scope(5):
            target = Target.of(model)
            return guest.search(self.component, target, images, labels, threat, generator(7))

    def test_finds_the_same_finite_candidates(self) -> None:
        """In each norm it names, on copies of images and twin, as a run hands them over."""
        test = tiny_data().test.take(torch.arange(12))
        images, network = test.float_images(), tiny_network()
        system = System(FloatDeployed(network), network)
        for norm in self.component.norms:
            twins = (guest.own_twin(system) for _ in range(2))
            first, second = (self._run(twin, images, test.labels, norm) for twin in twins)
            assert torch.equal(first, second), "expected the same candidates for the same seed"

    def test_leaves_the_process_alone(self) -> None:
        """No setting, environment or hook is another one after it."""
        model, test = tiny_network(), tiny_data().test.take(torch.arange(12))
        norm = self.component.norms[0]
        self._run(model, test.float_images(), test.labels, norm)  # its imports are not its own
        with seed_scope(5):
            before = ProcessState()
            eps = None if self.component.search == "minimal" else EPS[norm]
            given = test.float_images(), test.labels, Threat(norm, eps), generator(7)
            self.component.run_judged(Target.of(model), *given)
            changed = before.put_back()
        assert changed == [], f"expected the process as it was, got another {', '.join(changed)}"

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
