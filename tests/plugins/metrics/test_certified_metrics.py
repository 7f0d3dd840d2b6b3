from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from robench.base.errors import UserError
from robench.smoothing import metrics
from robench.smoothing.certificates import Certificates
from robench.smoothing.cohen import Cohen
from robench.smoothing.noise import Noise
from robench.smoothing.thresholds import squared_target
from tests.smoothing.smoothing_toys import FixedVotes


def certificates(prediction, radius2) -> Certificates:
    rows = np.asarray(prediction)
    zeros = np.zeros_like(rows)
    return Certificates(
        prediction=rows, radius2=np.asarray(radius2), hits=zeros, draws=zeros, selection=1
    )


# Five images: right and far, right and near, wrong, abstained, right at exactly 0.25.
FOUND = certificates([0, 1, 1, -1, 2], [65025, 100, 9000, -1, 4064])
LABELS = np.array([0, 1, 0, 3, 2])


def test_shares():
    assert metrics.certified_accuracy(FOUND, LABELS, 0.0) == 3 / 5
    assert metrics.certified_accuracy(FOUND, LABELS, 0.25) == 2 / 5
    assert metrics.certified_accuracy(FOUND, LABELS, 1.0) == 1 / 5
    assert metrics.certified_accuracy(FOUND, LABELS, 1.01) == 0
    assert metrics.certified_accuracy_eq10(FOUND, LABELS, 0.25) == 2 / 4
    assert metrics.certified_percentage(FOUND) == 4 / 5
    assert metrics.certified_percentage(FOUND, 0.25) == 3 / 5
    assert metrics.abstention(FOUND) == 1 / 5
    expected = (255 + 10 + math.sqrt(4064)) / 255 / 5
    assert metrics.average_certified_radius(FOUND, LABELS) == pytest.approx(expected)


def test_nothing_certified():
    nothing = certificates([-1, -1], [-1, -1])
    assert math.isnan(metrics.certified_accuracy_eq10(nothing, np.array([0, 1]), 0.25))
    assert metrics.certified_accuracy(nothing, np.array([0, 1]), 0.25) == 0
    assert metrics.average_certified_radius(nothing, np.array([0, 1])) == 0


def test_no_images():
    empty = certificates(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
    assert math.isnan(metrics.certified_accuracy(empty, np.empty(0), 0.25))
    assert math.isnan(metrics.average_certified_radius(empty, np.empty(0)))


def more_than(k: int, images: int, alpha: float) -> float:
    """P(Bin(images, alpha) > k), from the definition."""
    terms = (math.comb(images, i) * alpha**i * (1 - alpha) ** (images - i) for i in range(k + 1))
    return 1 - math.fsum(terms)


@pytest.mark.parametrize(("images", "alpha"), [(500, 0.001), (2000, 0.01), (1000, 0.05)])
def test_the_bound_on_false_certificates_holds_and_no_smaller_one_does(images, alpha):
    bound = metrics.high_probability_accuracy(0.6, images, alpha, rho=0.001)
    false = round((0.6 - bound) * images)
    assert more_than(false, images, alpha) <= 0.001 < more_than(false - 1, images, alpha)
    assert metrics.high_probability_accuracy(0.6, images, alpha) == bound


LISTED = replace(FOUND, radii=(0.25, 1.0))


def test_of_radii_that_were_not_tested_nothing_is_known():
    assert metrics.certified_accuracy(LISTED, LABELS, 0.25) == 2 / 5
    assert metrics.certified_percentage(LISTED, 1.0) == 1 / 5
    for radius in (0.0, 0.5, 1.01):
        assert math.isnan(metrics.certified_accuracy(LISTED, LABELS, radius))
        assert math.isnan(metrics.certified_percentage(LISTED, radius))
        with pytest.raises(UserError, match=r"radii that were tested, \(0.25, 1.0\), got"):
            metrics.certified_correct(LISTED, LABELS, radius)
    for radius in (0.25, 0.5):
        assert math.isnan(metrics.certified_accuracy_eq10(LISTED, LABELS, radius))
    assert math.isnan(metrics.abstention(LISTED))
    assert metrics.abstention(replace(FOUND, radii=(0.0, 0.25))) == 1 / 5


# Certified accuracy of ResNet-110 on CIFAR-10 (Cohen et al. 2019, released logs of 500 images).
PUBLISHED = {
    "0.12": {0.25: 0.59, 0.5: 0.0},
    "0.25": {0.25: 0.60, 0.5: 0.43, 0.75: 0.27, 1.0: 0.0},
    "0.5": {0.25: 0.55, 0.5: 0.41, 0.75: 0.32, 1.0: 0.23, 1.25: 0.15, 1.5: 0.09},
    "1.0": {0.25: 0.39, 0.5: 0.34, 0.75: 0.28, 1.0: 0.22, 1.25: 0.17, 1.5: 0.14},
}
ABSTAINED = {"0.12": 0.038, "0.25": 0.086, "0.5": 0.166, "1.0": 0.29}


@pytest.mark.parametrize("sigma", PUBLISHED)
def test_published_tables_from_vote_counts(sigma):
    """500 images whose votes are the fewest that certify their radius: the table comes back."""
    noise = Noise(sigma=sigma)
    table = Cohen().table(noise, 3072)
    levels = [(radius, round(500 * share)) for radius, share in PUBLISHED[sigma].items() if share]
    least = {radius: int(np.searchsorted(table, squared_target(radius))) for radius, _ in levels}
    votes = np.full(500, least[levels[0][0]] - 1)
    for radius, images in levels:
        votes[:images] = least[radius]
    votes[500 - round(500 * ABSTAINED[sigma]) :] = 50_000
    counts = np.stack([votes, 100_000 - votes], axis=1)
    select = np.tile([100, 0], (500, 1))
    found = Cohen().certify(FixedVotes({100: select, 100_000: counts}, noise), np.arange(500))
    for radius, share in PUBLISHED[sigma].items():
        assert metrics.certified_accuracy(found, np.zeros(500), radius) == pytest.approx(share)
    assert metrics.abstention(found) == pytest.approx(ABSTAINED[sigma], abs=0.001)
    # Eq. 10 would print more than the tables do.
    at = levels[0][0]
    conditional = metrics.certified_accuracy_eq10(found, np.zeros(500), at)
    assert conditional == pytest.approx(PUBLISHED[sigma][at] / (1 - ABSTAINED[sigma]), abs=0.002)
