from __future__ import annotations

import numpy as np
import pytest

from robench.base.errors import UserError
from robench.smoothing.noise import Noise, noise_table
from robench.smoothing.philox import keys_of
from robench.smoothing.sampling import draw
from robench.smoothing.votes import IntegerVotes, require_fixed_function

NOISE = Noise(sigma="0.25")


def quadrant(noisy: np.ndarray) -> np.ndarray:
    """Four classes from the signs of two sums."""
    flat = noisy.reshape(len(noisy), -1).astype(np.int64) - 128
    half = flat.shape[1] // 2
    return 2 * (flat[:, :half].sum(1) > 0) + (flat[:, half:].sum(1) > 0)


def source(**changes) -> IntegerVotes:
    images = np.random.default_rng(0).integers(110, 146, (6, 1, 4, 5), dtype=np.uint8)
    options = {"images": images, "labels": quadrant, "classes": 4, "noise": NOISE, "seed": 3}
    return IntegerVotes(**{**options, **changes})


def test_counts_are_those_of_the_noisy_images():
    votes = source()
    counts = votes.votes(np.array([4, 1]), 7, 50)
    for row, image in enumerate((4, 1)):
        noise = draw(noise_table(NOISE), keys_of(3), image, 7, 50, 20)
        labels = quadrant(noise + votes.images[image].reshape(-1).astype(np.int16))
        assert counts[row].tolist() == np.bincount(labels, minlength=4).tolist()
    assert counts.dtype == np.int64


@pytest.mark.parametrize("batch", [1, 7, 64, 1000])
def test_counts_do_not_depend_on_batches_or_calls(batch):
    everything = np.arange(6)
    whole = source().votes(everything, 0, 90)
    assert np.array_equal(source(batch=batch).votes(everything, 0, 90), whole)
    parts = source(batch=batch)
    assert np.array_equal(parts.votes(everything, 0, 30) + parts.votes(everything, 30, 60), whole)
    assert np.array_equal(parts.votes(everything[2:4], 0, 90), whole[2:4])


def test_streams_keep_the_noise_when_the_subset_changes():
    whole = source()
    kept = source(images=whole.images[[5, 2]], streams=np.array([5, 2]))
    assert np.array_equal(kept.votes(np.arange(2), 0, 40), whole.votes(np.array([5, 2]), 0, 40))


def test_noisy_images_are_not_saturated():
    """Condition b: no conditioning on the pixel range; the network may saturate afterwards."""
    seen = []
    votes = source(labels=lambda noisy: seen.append(noisy) or np.zeros(len(noisy), dtype=int))
    votes.votes(np.arange(6), 0, 200)
    noisy = np.concatenate(seen)
    assert noisy.dtype == np.int16
    assert noisy.min() < 0
    assert noisy.max() > 255


def test_images_off_the_grid_are_refused():
    """Condition c."""
    with pytest.raises(UserError, match="uint8"):
        source(images=np.zeros((2, 3), dtype=np.float32))


def test_functions_of_the_batch_are_refused():
    """Condition a."""
    inputs = np.random.default_rng(0).integers(-50, 300, (16, 4, 5)).astype(np.int16)
    require_fixed_function(quadrant, inputs)

    def normalised(noisy: np.ndarray) -> np.ndarray:
        return quadrant(noisy - noisy.mean(0).astype(np.int16) + 128)

    def by_place(noisy: np.ndarray) -> np.ndarray:
        return np.arange(len(noisy)) % 2

    for labels in (normalised, by_place):
        with pytest.raises(UserError, match="eval mode"):
            require_fixed_function(labels, inputs)
