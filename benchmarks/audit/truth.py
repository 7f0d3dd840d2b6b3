"""What is true of a model: does PGD miss what an attacker finds who knows how it was built?"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from robench.audit.judge import Judge
from robench.base.seeds import generator, seed_scope
from robench.base.stats import paired
from robench.core.system import forward
from robench.search import GradientSearch, SquareSearch
from tests.audit.zoo.exhibit import Exhibit
from tests.audit.zoo.lessons import Lesson

APART, SURELY = 0.1, 0.05
"""What PGD leaves a model built to mask more than the adaptive attack, to call it masked: the
estimate, and the interval's lower end."""


@dataclass(frozen=True)
class Truth:
    """Which images are right clean, under PGD with 40 steps and after the adaptive attack."""

    clean: Tensor
    naive: Tensor
    adaptive: Tensor

    def name(self, built: str) -> str:
        """masked: built so, and the gap measured; honest: built without a trick; else unclear.

        A large gap of a model without a trick is a weak loss: its gradients mislead nobody.
        """
        pair = paired(self.naive.numpy(), self.adaptive.numpy())
        if built != "masks":
            return "honest"
        return "masked" if pair.difference > APART and pair.low > SURELY else "unclear"


@dataclass(frozen=True)
class Field:
    """An exhibit, its images and its judge."""

    exhibit: Exhibit
    lesson: Lesson

    def holds(self, candidates: Tensor) -> Tensor:
        """Which images are right clean and under legal forms of the candidates: bool (N,)."""
        images, labels = self.lesson.test.float_images(), self.lesson.test.labels
        judge = Judge(self.exhibit.system.deployed, self.exhibit.system.deployed.randomised)
        legal = self.lesson.threat.project(candidates, images)
        return judge.right(images, labels) & ~judge.wrong(legal, labels)


def measured(exhibit: Exhibit, lesson: Lesson) -> Truth:
    """Attack an exhibit as a usual row would, and as one who knows it would.

    The adaptive attack is the per-image worst case over margin and cross-entropy on the usable
    form and on the float parent, the usual row, and Square where no gradient helps.
    """
    with seed_scope(0):
        field, test, rng = Field(exhibit, lesson), lesson.test, generator(0, "truth")
        images, labels, threat = test.float_images(), test.labels, lesson.threat
        usual = GradientSearch(steps=40, step=2.5, random_start=True)
        twin = exhibit.system.twin
        naive = field.holds(usual.run(twin, images, labels, threat, rng))
        adaptive = naive.clone()
        for module in filter(None, (exhibit.adaptive, exhibit.parent)):
            for loss in ("margin", "cross_entropy"):
                found = _strong(exhibit, loss).run(module, images, labels, threat, rng)
                adaptive &= field.holds(found)
        if exhibit.black_box:
            square = SquareSearch(queries=2000)
            found = square.run(lambda x: forward(twin, x), images, labels, threat, rng)
            adaptive &= field.holds(found)
        return Truth(field.holds(images), naive, adaptive)


def _strong(exhibit: Exhibit, loss: str) -> GradientSearch:
    """A hundred steps from three starts; against randomness averages and the last iterate."""
    if exhibit.samples > 1:
        return GradientSearch(
            steps=60, step=4, random_start=True, loss=loss, samples=exhibit.samples, best=False
        )
    return GradientSearch(steps=100, step=4, random_start=True, restarts=3, loss=loss)
