"""torch as a runtime of its exports."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from robench import Runtime, UserError
from robench.shipped import load
from robench.testing import RuntimeContract
from robench_files.torch_export import TorchExport

FILES = Path(__file__).parents[2] / "fixtures/files"


class TestTorch(RuntimeContract):
    component: ClassVar[Runtime] = TorchExport()

    def make(self, folder: Path) -> Path:
        net = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
        with torch.no_grad():  # the brightest bar
            net[1].weight.zero_().view(3, 8, 8)[range(3), [0, 3, 6]] = 1.0
        shapes = ({0: torch.export.Dim("n")},)
        program = torch.export.export(net, (torch.zeros(2, 1, 8, 8),), dynamic_shapes=shapes)
        torch.export.save(program, folder / "bars.pt2")
        return folder / "bars.pt2"


def test_another_number_of_threads_leaves_torch_as_it_was() -> None:
    usual = torch.get_num_threads()
    session = load("torch", TorchExport(), FILES / "digits.int8.pt2")
    images = np.random.default_rng(0).random((20, 1, 8, 8), np.float32)
    answers = session.run(images, session.outputs[0].name)
    for way in session.variants().values():
        np.testing.assert_allclose(way.run(images, way.outputs[0].name), answers, atol=0.2)
    assert torch.get_num_threads() == usual


def test_what_cannot_be_read_is_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "net.pt2"
    torch.save(nn.Linear(2, 2), path)
    with pytest.raises(UserError, match="torch export"):
        load("torch", TorchExport(), path)
