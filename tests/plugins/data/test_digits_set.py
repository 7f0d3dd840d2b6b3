from __future__ import annotations

from pathlib import Path

import pytest
import torch

from robench.base.errors import ConfigError, DataError
from robench_data.digits import Digits
from robench_data.splits import split


def test_split_sizes_and_grey_levels(tmp_path: Path) -> None:
    data = Digits().load(tmp_path)
    assert (len(data.train), len(data.test), data.shape) == (1437, 360, (1, 8, 8))
    levels = torch.cat([data.train.images.unique(), data.test.images.unique()]).unique()
    assert levels.tolist() == [round(level * 255 / 16) for level in range(17)]
    assert data.threat.eps("linf") == 0.2
    assert data.threat.eps("l2", "weak") == 0.25


def test_every_class_has_its_share(tmp_path: Path) -> None:
    data = Digits().load(tmp_path)
    total = torch.bincount(torch.cat([data.train.labels, data.test.labels]))
    share = torch.bincount(data.test.labels) / total
    assert (share - 360 / 1797).abs().max() < 0.01


def test_the_seed_alone_decides_the_split(tmp_path: Path) -> None:
    first, again, other = (Digits(seed=s).load(tmp_path) for s in (0, 0, 1))
    assert first.hash == again.hash != other.hash
    both = [torch.cat([d.train.images, d.test.images]).sum() for d in (first, other)]
    assert both[0] == both[1]


def test_negative_seed_is_refused() -> None:
    with pytest.raises(ConfigError, match="seed >= 0, got -1"):
        Digits(seed=-1)


def test_split_parts_are_disjoint_and_whole() -> None:
    labels = torch.tensor([0] * 10 + [1] * 30)
    train, test = split(labels, 8, seed=3)
    assert torch.cat([train, test]).sort().values.tolist() == list(range(40))
    assert torch.bincount(labels[test]).tolist() == [2, 6]


@pytest.mark.parametrize("test", [0, 4, 9])
def test_a_split_needs_both_parts(test: int) -> None:
    with pytest.raises(DataError, match="got 4 of which"):
        split(torch.zeros(4, dtype=torch.int64), test, seed=0)
