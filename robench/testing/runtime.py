"""The contract of runtimes."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from robench.base.errors import UserError
from robench.core.session import Session
from robench.plugin.components import Runtime
from robench.shipped import FileDeployed, load, open_system
from robench.testing.component import ComponentContract
from robench.testing.tiny import tiny_data

CLOSE = 1e-3
"""How far two answers about one image may be apart, of logits near 1: batches sum otherwise."""


class RuntimeContract(ComponentContract):
    """A runtime: opens a file, answers in real numbers, and says what it is."""

    component: ClassVar[Runtime]

    @abstractmethod
    def make(self, folder: Path) -> Path:
        """Write a file that the runtime opens: a classifier of `robench.testing.tiny_data`."""

    def _opened(self, folder: Path) -> Session:
        return load("the runtime", self.component, self.make(folder))

    def _deployed(self, folder: Path) -> FileDeployed:
        path = self.make(folder)
        shape = tiny_data().shape
        system = open_system(path, shape=shape, classes=3, runtime=self.component)
        assert isinstance(system.deployed, FileDeployed)
        return system.deployed

    def test_says_what_it_takes_and_gives(self, tmp_path: Path) -> None:
        """Named ports, one of them for the images, and outputs of different names."""
        session = self._opened(tmp_path)
        assert len(session.inputs) == 1, f"expected one input, got {session.inputs}"
        names = [port.name for port in session.outputs]
        assert names, "expected an output, got none"
        assert len(set(names)) == len(names), f"expected different names, got {names}"

    def test_says_what_answers(self, tmp_path: Path) -> None:
        """The version and what computes within it stand in every record."""
        about = self._opened(tmp_path).describe()
        for name in ("version", "provider"):
            assert about.get(name), f"expected {name} of describe(), got {dict(about)}"

    def test_runs_in_other_ways(self, tmp_path: Path) -> None:
        """Where it has variants, they take and give the same."""
        session = self._opened(tmp_path)
        for name, other in session.variants().items():
            assert other.inputs == session.inputs, f"expected the inputs of the usual way of {name}"
            assert other.outputs == session.outputs, f"expected its outputs of {name}"

    def test_is_judged(self, tmp_path: Path) -> None:
        """As a deployed model: labels of all images, the same each time."""
        data, deployed = tiny_data(), self._deployed(tmp_path)
        images = data.test.float_images()
        first, second = (deployed.predict(images) for _ in range(2))
        assert first.dtype == torch.int64
        assert first.shape == data.test.labels.shape
        assert torch.equal(first, second), "expected the same labels each time"
        right = float((first == data.test.labels).double().mean())
        assert right >= 0.9, f"expected a file that is right on 90 % of tiny_data, got {right:.0%}"

    def test_answers_do_not_depend_on_the_batch(self, tmp_path: Path) -> None:
        """Beyond the rounding of sums."""
        images, deployed = tiny_data().test.float_images()[:6], self._deployed(tmp_path)
        alone = torch.cat([deployed.logits(one[None]) for one in images])
        torch.testing.assert_close(alone, deployed.logits(images), atol=CLOSE, rtol=CLOSE)

    def test_leaves_its_input_alone(self, tmp_path: Path) -> None:
        """And answers a batch whatever it was asked before."""
        images, deployed = tiny_data().test.float_images(), self._deployed(tmp_path)
        before = images.clone()
        first = deployed.logits(images[:6])
        deployed.predict(images[6:])
        assert torch.equal(images, before), "expected the images to stay as they were"
        assert torch.equal(first, deployed.logits(images[:6])), "expected the same answers again"

    def test_refuses_a_broken_file(self, tmp_path: Path) -> None:
        """Half a file ends in one line."""
        path = self.make(tmp_path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(UserError):
            load("the runtime", self.component, path)
