"""What a judged run of large images asks of a network, and of memory, at once."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import robench
from robench.core.batches import ASKED
from robench.core.pixels import floats
from robench.run.config import Places
from robench.run.examination import FOUND, read_found

SIDE, COUNT = 224, 30


class Watched(nn.Module):
    """Brightness decides; notes the most floats of images that it met at once."""

    most: ClassVar[list[int]] = []

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.tensor(0.5))

    def forward(self, images: Tensor) -> Tensor:
        self.most.append(images.numel())
        bright = (10 * (images[..., ::7, ::7].mean((1, 2, 3)) - self.shift)).tanh()
        return torch.stack((-bright, bright), 1)


def pictures() -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(COUNT) % 2
    low = torch.randint(0, 20, (COUNT, 3, SIDE, SIDE), generator=rng)
    base = torch.where(labels == 1, 150, 90) + torch.arange(COUNT) % 11 * (labels * 2 - 1)
    return (base.view(-1, 1, 1, 1) + low).to(torch.uint8), labels


def test_a_network_meets_few_large_images_at_once(tmp_path: Path) -> None:
    Watched.most.clear()
    record = robench.evaluate(
        Watched(),
        pictures(),
        # Breaks about half: where next to nothing breaks, a search by labels takes half a minute.
        eps="34/255",
        attack={"fgsm": {}, "pgd": {"steps": 3}},
        places=Places(results=tmp_path / "results", cache=tmp_path / "cache"),
    )
    assert len(record.rows) == 2
    assert record.audit[0].n == COUNT
    assert ASKED // 2 < max(Watched.most) <= ASKED


def test_what_an_audit_once_kept_as_floats_is_read(tmp_path: Path) -> None:
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    save_file({"found": floats(pixels)}, tmp_path / FOUND)
    assert torch.equal(read_found(tmp_path, grid=True), pixels)
    assert torch.equal(read_found(tmp_path, grid=False), floats(pixels))
