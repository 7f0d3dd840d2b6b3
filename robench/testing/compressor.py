"""The contract of compressors."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch

from robench.base.seeds import seed_scope
from robench.core.system import System
from robench.plugin.components import Compressor
from robench.testing.component import ComponentContract
from robench.testing.systems import check_run, check_system, check_training
from robench.testing.tiny import tiny_data, train, untrained


class CompressorContract(ComponentContract):
    """A compressor: a deployed model, and a twin that computes the same function."""

    component: ClassVar[Compressor]

    def _finish(self) -> System:
        data = tiny_data()
        with seed_scope(0):
            model = train(self.component.prepare(untrained(), data.shape))
            # As the pipeline hands it over; a flat view of such weights fails.
            model.to(memory_format=torch.channels_last)
            return self.component.finish(model, data)

    def test_deployed_and_twin_agree(self) -> None:
        """On 95 % of the labels at least; the twin has gradients."""
        data, system = tiny_data(), self._finish()
        labels = check_system(system, data)
        with torch.no_grad():
            twin = system.twin.eval()(data.test.float_images()).argmax(1)
        agree = float((labels == twin).double().mean())
        assert agree >= 0.95, f"expected twin and deployed to agree on 95 %, got {agree:.0%}"

    def test_the_same_model_each_time(self) -> None:
        """Compression draws no random numbers of its own."""
        images = tiny_data().test.float_images()
        first, second = (self._finish().deployed.predict(images) for _ in range(2))
        assert torch.equal(first, second)

    def test_ships_files(self, tmp_path: Path) -> None:
        """`save` writes them and `nbytes` counts more than nothing."""
        deployed = self._finish().deployed
        deployed.save(tmp_path)
        files = [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size > 0]
        assert files, "expected files from save"
        assert deployed.nbytes() > 0

    def test_runs_from_training_to_record(self) -> None:
        """The whole pipeline accepts it."""
        check_run(compressor=self.component)

    def test_training_does_not_depend_on_what_came_before(self) -> None:
        """With and without it, in both orders, in one cache."""
        check_training(compressor=self.component)
