from __future__ import annotations

import pytest
import torch

from robench.core.batches import ASKED, HELD, SEARCHED, at_once, parts
from robench.core.pixels import floats, stored
from robench.core.threat import Threat


@pytest.mark.parametrize(
    ("shape", "floats_", "most"),
    [((3, 32, 32), ASKED, 400), ((3, 32, 32), SEARCHED, 1000), ((3, 32, 32), HELD, 10_000)],
)
def test_images_of_cifar_go_in_the_batches_that_are_asked_for(
    shape: tuple[int, ...], floats_: int, most: int
) -> None:
    assert at_once(shape, floats_, most) == most


def test_of_large_images_as_many_as_fit_and_one_at_least() -> None:
    assert at_once((3, 224, 224), ASKED, 250) == ASKED // (3 * 224 * 224)
    assert at_once((3, 8192, 8192), ASKED, 250) == 1


def test_parts_are_all_images_in_order_none_of_them_empty() -> None:
    for count in (1, 26, 27, 28, 100):
        found = [*parts(count, (3, 224, 224), ASKED)]
        assert [i for at in found for i in range(count)[at]] == list(range(count))
        assert all(1 <= at.stop - at.start <= 27 for at in found)


def test_images_on_the_grid_come_back_bit_by_bit() -> None:
    images = torch.arange(256).float().view(1, 1, 16, 16) / 255
    noise = torch.rand(images.shape, generator=torch.Generator().manual_seed(0)) - 0.5
    for candidates in (images, Threat("linf", 0.3).project(images + noise, images)):
        assert stored(candidates, True).dtype == torch.uint8
        assert torch.equal(floats(stored(candidates, True)), candidates)
    off = images + 0.1 / 255
    assert torch.equal(floats(stored(off, False)), off)
