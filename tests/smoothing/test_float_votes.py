from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from robench.base.errors import UserError
from robench.smoothing.cohen import Cohen
from robench.smoothing.float_votes import FloatVotes
from robench.smoothing.noise import Noise
from robench.smoothing.radius import radius_table

NOISE = Noise(sigma="0.25", law="gaussian")


def brighter(noisy: np.ndarray) -> np.ndarray:
    return (noisy.reshape(len(noisy), -1).mean(1) > 0.5).astype(np.int64)


def source(**changes) -> FloatVotes:
    images = np.stack([np.full((1, 4, 4), v, dtype=np.uint8) for v in (100, 135, 180)])
    options = {"images": images, "labels": brighter, "classes": 2, "noise": NOISE, "seed": 1}
    return FloatVotes(**{**options, **changes})


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_counts_do_not_depend_on_batches_or_calls(batch):
    whole = source().votes(np.arange(3), 0, 90)
    parts = source(batch=batch)
    rows = np.arange(3)
    assert np.array_equal(parts.votes(rows, 0, 31) + parts.votes(rows, 31, 59), whole)
    kept = source(images=source().images[[2]], streams=np.array([2]))
    assert np.array_equal(kept.votes(np.arange(1), 0, 90), whole[[2]])


def test_noise_is_normal_in_unit_pixels():
    noisy = source(images=np.full((1, 1, 40, 40), 51, dtype=np.uint8)).noisy(0, 5, 100)
    assert noisy.dtype == np.float32
    assert noisy.mean() == pytest.approx(0.2, abs=4 * 0.25 / 400)
    assert noisy.std() == pytest.approx(0.25, rel=0.01)
    assert noisy.min() < 0  # not clipped


def test_votes_have_the_exact_probability():
    counts = source().votes(np.array([1]), 0, 4000)[0]
    p = special.ndtr((135 / 255 - 0.5) / (0.25 / 4))
    assert counts[1] / 4000 == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / 4000))


def test_certifies_with_the_same_table_and_no_charge_for_a_sampler():
    assert NOISE.tau == 0
    found = Cohen(n1=20, n2=500).certify(source(), np.arange(3))
    assert found.prediction[2] == 1
    assert found.radius2[2] == radius_table(NOISE, 16, 500, 0.001)[found.hits[2]]


def test_integer_laws_are_refused():
    with pytest.raises(UserError, match="gaussian"):
        source(noise=Noise(sigma="0.25"))
