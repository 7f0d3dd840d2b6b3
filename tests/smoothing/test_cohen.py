from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from robench.base.errors import UserError
from robench.smoothing.certificates import Certificates, write_tsv
from robench.smoothing.cohen import Cohen
from robench.smoothing.noise import Noise
from robench.smoothing.prediction import predict, predict_early, prediction_table
from robench.smoothing.radius import ABSTAIN, radius_table
from tests.smoothing.smoothing_toys import BernoulliVotes, FixedVotes

NOISE = Noise(sigma="0.25")


def counts(*rows: tuple[int, ...]) -> np.ndarray:
    return np.array(rows, dtype=np.int64)


def test_selects_counts_and_looks_up():
    table = radius_table(NOISE, 3072, 1000, 0.001)
    source = FixedVotes(
        {100: counts((90, 10), (50, 50), (20, 80)), 1000: counts((990, 10), (500, 500), (0, 1000))},
        NOISE,
    )
    found = Cohen(n2=1000).certify(source, np.arange(3))
    assert source.asked == [(0, 100), (100, 1000)]  # fresh draws after the selection
    assert found.prediction.tolist() == [0, ABSTAIN, 1]
    assert found.radius2.tolist() == [table[990], -1, table[1000]]
    assert found.hits.tolist() == [990, 500, 1000]
    assert found.deployable


def test_votes_for_another_class_than_selected_do_not_count():
    source = FixedVotes({100: counts((60, 40)), 1000: counts((10, 990))}, NOISE)
    assert Cohen(n2=1000).certify(source, np.arange(1)).prediction.tolist() == [ABSTAIN]


def test_sigma_of_the_radius_is_that_of_the_votes():
    """Condition b: one Noise object gives the draws and the radius."""
    for sigma in ("0.12", "0.5"):
        source = BernoulliVotes([1.0], Noise(sigma=sigma), pixels=3072)
        squared = int(Cohen(n2=1000).certify(source, np.arange(1)).radius2[0])
        assert squared == radius_table(Noise(sigma=sigma), 3072, 1000, 0.001)[1000]


@pytest.mark.parametrize(
    "options", [{"alpha": 0.0}, {"alpha": 0.6}, {"n1": 0}, {"n2": 0}, {"radius": "two_class"}]
)
def test_impossible_options_are_refused(options):
    with pytest.raises(UserError, match="expected"):
        Cohen(**options)


def test_a_hopeless_budget_is_refused():
    with pytest.raises(UserError, match="largest radius"):
        Cohen(n2=10).certify(BernoulliVotes([1.0], NOISE), np.arange(1))


def test_false_certificates_stay_below_alpha():
    """At p = 1/2 any certificate is false; type I error within three standard errors of alpha."""
    runs, alpha = 20_000, 0.05
    source = BernoulliVotes(np.full(runs, 0.5), NOISE)
    false = (
        Cohen(n1=1, n2=100, alpha=alpha).certify(source, np.arange(runs)).prediction != -1
    ).mean()
    assert false <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / runs)


# Algorithm 2.


@pytest.mark.parametrize("alpha", [0.5, 0.05, 0.001])
def test_prediction_table_is_the_two_sided_test(alpha):
    table = prediction_table(300, alpha)
    for total in (1, 2, 9, 10, 11, 20, 99, 300):
        for most in range((total + 1) // 2, total + 1):
            tail = sum(math.comb(total, k) for k in range(most, total + 1))
            p_value = min(Fraction(1), Fraction(2 * tail, 2**total))
            accepted = p_value <= Fraction(str(alpha)) and 2 * most > total
            assert (most >= table[total]) == accepted
            assert p_value == pytest.approx(stats.binomtest(most, total).pvalue)


def test_p_values_equal_to_alpha_accept():
    """2 * 2^-5 = 1/16 exactly, where floats cannot be trusted."""
    assert prediction_table(10, 0.0625)[5] == 5
    assert prediction_table(10, 0.0624)[5] == 6


def test_large_prediction_tables():
    table = prediction_table(100_000, 0.001)
    for total in (1000, 31_415, 100_000):
        least = int(table[total])
        assert (
            stats.binomtest(least, total).pvalue <= 0.001 < stats.binomtest(least - 1, total).pvalue
        )


def test_prediction_abstains_when_close():
    votes = counts((520, 480, 0), (600, 390, 10), (0, 0, 1000), (500, 500, 0))
    source = FixedVotes({1000: votes}, NOISE)
    labels = predict(source, np.arange(4), 1000, 0.001, first_draw=5)
    assert labels.tolist() == [ABSTAIN, 0, 2, ABSTAIN]
    assert source.asked == [(5, 1000)]


def test_early_prediction_asks_only_what_it_needs():
    source = BernoulliVotes([1.0, 0.0, 0.5, 0.6], NOISE)
    labels = predict_early(source, np.arange(4), 1000, 0.001)
    assert labels.tolist() == [0, 1, ABSTAIN, 0]
    assert source.draws.tolist()[:3] == [37, 37, 1000]
    assert 37 < source.draws[3] <= 1000


def test_early_prediction_errs_as_seldom_as_it_says():
    """At a tie every label given is wrong."""
    source = BernoulliVotes(np.full(20_000, 0.5), NOISE, seed=1)
    given = (predict_early(source, np.arange(20_000), 300, 0.05) != ABSTAIN).mean()
    assert 0.01 < given < 0.05


# Cohen's file format.


def test_tsv_starts_with_cohens_columns(tmp_path):
    rows = Certificates(
        prediction=np.array([3, -1]),
        radius2=np.array([13602, -1]),
        hits=np.array([1000, 500]),
        draws=np.array([1000, 1000]),
        selection=100,
    )
    path = tmp_path / "rows.tsv"
    write_tsv(path, rows, index=[0, 20], labels=[3, 5], seconds=[1.5, 2], seed=7)
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    assert lines[0][:6] == ["idx", "label", "predict", "radius", "correct", "time"]
    assert lines[1] == ["0", "3", "3", "0.457", "1", "0:00:01.500000",
                        "13602", "1000", "1000", "7"]  # fmt: skip
    assert lines[2][:6] == ["20", "5", "-1", "0.0", "0", "0:00:02"]


def test_tsv_radii_are_rounded_down(tmp_path):
    squared = np.arange(0, 13000, 7)
    rows = Certificates(prediction=np.zeros_like(squared), radius2=squared, hits=squared,
                        draws=squared, selection=1)  # fmt: skip
    path, zeros = tmp_path / "rows.tsv", np.zeros(len(squared))
    write_tsv(path, rows, index=squared, labels=zeros, seconds=zeros, seed=0)
    radii = np.array([float(line.split("\t")[3]) for line in path.read_text().splitlines()[1:]])
    assert (radii <= np.sqrt(squared) / 255 + 1e-15).all()
    assert (radii >= np.sqrt(squared) / 255 * 0.989).all()


def test_a_label_without_a_radius_is_a_fault():
    with pytest.raises(ValueError, match="exactly"):
        Certificates(prediction=np.array([1]), radius2=np.array([-1]), hits=np.array([1]),
                     draws=np.array([1]), selection=1)  # fmt: skip
