from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from robench.base.errors import DataError
from robench.core.data import Data, Split, stratified
from tests.conftest import USUAL, blobs


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 999), count=st.integers(1, 90), classes=st.integers(1, 7))
def test_a_stratified_subset_keeps_proportions(seed: int, count: int, classes: int) -> None:
    labels = torch.arange(90) % classes
    index = stratified(labels, count, np.random.default_rng(seed))
    assert len(set(index.tolist())) == count
    assert index.tolist() == sorted(index.tolist())
    for label in range(classes):
        expected = count * float((labels == label).double().mean())
        assert abs(int((labels[index] == label).sum()) - expected) <= 1


@pytest.mark.parametrize("which", ["images", "labels"])
def test_arrays_are_told_how_they_become_tensors(which: str) -> None:
    parts = {"images": torch.zeros(2, 1, 8, 8, dtype=torch.uint8), "labels": torch.arange(2)}
    given: Any = parts | {which: parts[which].numpy()}
    words = f"expected a torch tensor of {which}, got ndarray; use torch.from_numpy"
    with pytest.raises(DataError, match=words):
        Split(**given)


def test_subsets_follow_the_seed() -> None:
    labels = torch.arange(90) % 3
    pick = [stratified(labels, 30, np.random.default_rng(s)).tolist() for s in (0, 0, 1)]
    assert pick[0] == pick[1] != pick[2]
    with pytest.raises(DataError, match="between 1 and 90"):
        stratified(labels, 91, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(3, 1, 2, 2), torch.zeros(3).long(), "uint8 images"),
        (torch.zeros(3, 2, 2, dtype=torch.uint8), torch.zeros(3).long(), "shape"),
        (torch.zeros(3, 1, 2, 2, dtype=torch.uint8), torch.zeros(3), "int64 labels"),
        (torch.zeros(3, 1, 2, 2, dtype=torch.uint8), torch.zeros(2).long(), "expected 3"),
        (torch.zeros(0, 1, 2, 2, dtype=torch.uint8), torch.zeros(0).long(), "at least one"),
    ],
)
def test_malformed_splits_are_refused(
    images: torch.Tensor, labels: torch.Tensor, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        Split(images, labels)


def test_labels_outside_the_classes_are_refused() -> None:
    good = blobs(12, 0)
    for label in (-1, 3):
        bad = Split(good.images, good.labels.clone().fill_(label))
        with pytest.raises(DataError, match=r"labels in 0\.\.2"):
            Data(good, bad, ("a", "b", "c"), USUAL)


def test_the_hash_is_of_the_content() -> None:
    data = Data(blobs(12, 0), blobs(12, 1), ("a", "b", "c"), USUAL)
    same = Data(blobs(12, 0), blobs(12, 1), ("a", "b", "c"), USUAL)
    assert data.hash == same.hash
    changed = blobs(12, 1)
    changed.images[0, 0, 0, 0] ^= 1
    assert Data(blobs(12, 0), changed, ("a", "b", "c"), USUAL).hash != data.hash
