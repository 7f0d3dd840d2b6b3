from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import mpmath as mp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from robench.base.errors import UserError
from robench.smoothing.noise import Noise, noise_table
from robench.smoothing.philox import Keys, further_words, keys_of, leading_words
from robench.smoothing.sampling import draw, resolve, training_noise
from tests.smoothing.smoothing_toys import pmf

INTEGER_LAWS = ["discrete_gaussian", "rounded_gaussian"]
SIGMAS = ["0.004", "0.12", "0.25", "1.0"]


def cdf_at_high_precision(noise: Noise, bound: int) -> list:
    """P(X <= k) for k = -bound ... bound - 1, normalised by Poisson summation."""
    variance = mp.mpf(noise.variance.numerator) / noise.variance.denominator
    if noise.law == "rounded_gaussian":
        return [mp.ncdf((k + mp.mpf(1) / 2) / mp.sqrt(variance)) for k in range(-bound, bound)]
    dual = mp.nsum(lambda w: mp.exp(-2 * mp.pi**2 * variance * w**2), [-mp.inf, mp.inf])
    total = mp.sqrt(2 * mp.pi * variance) * dual
    below = mp.fsum(mp.exp(-(k**2) / (2 * variance)) for k in range(-2 * bound, -bound))
    cdf = []
    for k in range(-bound, bound):
        below += mp.exp(-(mp.mpf(k) ** 2) / (2 * variance))
        cdf.append(below / total)
    return cdf


@pytest.mark.parametrize("law", INTEGER_LAWS)
@pytest.mark.parametrize("sigma", SIGMAS[:3])
def test_every_table_entry_is_the_floor_at_high_precision(law, sigma):
    noise = Noise(sigma=sigma, law=law)
    table = noise_table(noise)
    with mp.workprec(256):
        expected = [
            int(mp.floor(mp.ldexp(p, 128))) for p in cdf_at_high_precision(noise, table.bound)
        ]
    assert [int(h) << 64 | int(w) for h, w in zip(table.high, table.low, strict=True)] == expected


@pytest.mark.parametrize("law", INTEGER_LAWS)
@pytest.mark.parametrize("sigma", ["0.0001", "0.001"])
def test_noise_that_is_nearly_always_0_has_a_table(law, sigma):
    """Its tails are below any usual precision, so that the distribution function is 1 but for
    them."""
    noise = Noise(sigma=sigma, law=law)
    table = noise_table(noise)
    with mp.workprec(12_000):
        s = mp.sqrt(mp.mpf(noise.variance.numerator) / noise.variance.denominator)
        if law == "rounded_gaussian":
            above = [mp.erfc((k + mp.mpf(1) / 2) / s / mp.sqrt(2)) / 2 for k in range(table.bound)]
        else:
            weights = [mp.exp(-(mp.mpf(k) ** 2) / (2 * s**2)) for k in range(12)]
            total = weights[0] + 2 * mp.fsum(weights[1:])
            above = [mp.fsum(weights[k + 1 :]) / total for k in range(table.bound)]
        below = [int(mp.floor(mp.ldexp(p, 128))) for p in reversed(above)]
        upper = [int(mp.floor(mp.ldexp(1 - p, 128))) for p in above]
    found = [int(h) << 64 | int(w) for h, w in zip(table.high, table.low, strict=True)]
    assert found == below + upper
    assert np.abs(draw(table, keys_of(1), 0, 0, 100, 50)).max() == (sigma == "0.001")


@pytest.mark.slow
def test_every_table_entry_at_the_widest_sigma():
    test_every_table_entry_is_the_floor_at_high_precision("discrete_gaussian", "1.0")


@pytest.mark.parametrize("law", INTEGER_LAWS)
@pytest.mark.parametrize("sigma", SIGMAS)
def test_tau_bounds_the_total_variation_and_is_small(law, sigma):
    noise = Noise(sigma=sigma, law=law)
    table = noise_table(noise)
    cdf = [0, *(int(h) << 64 | int(w) for h, w in zip(table.high, table.low, strict=True)), 2**128]
    sampled = [Fraction(b - a, 2**128) for a, b in pairwise(cdf)]
    with mp.workprec(256):
        exact = cdf_at_high_precision(noise, table.bound + 1)
        steps = [b - a for a, b in pairwise(exact)]
        distance = sum(
            abs(mp.mpf(p.numerator) / p.denominator - q)
            for p, q in zip(sampled, steps, strict=False)
        )
    assert len(sampled) == len(steps) == 2 * table.bound + 1
    assert distance / 2 <= float(table.tau)
    assert 0 < noise.tau * 150_528 < Fraction(1, 10**28)


def test_values_fit_sixteen_bits_with_the_image():
    table = noise_table(Noise(sigma="4.5"))
    assert 2 * table.bound + 1 < 2**15
    assert table.bound + 255 < 2**15


@pytest.mark.parametrize(
    "options", [{"sigma": "0"}, {"sigma": "-1"}, {"sigma": "1", "law": "laplace"}]
)
def test_impossible_laws_are_refused(options):
    with pytest.raises(UserError, match="expected"):
        Noise(**options)


@pytest.mark.parametrize("noise", [Noise(sigma="5"), Noise(sigma="0.25", law="gaussian")])
def test_laws_without_a_table_are_refused(noise):
    with pytest.raises(UserError, match="expected"):
        noise_table(noise)


def test_a_float_sigma_is_the_decimal_it_prints():
    assert Noise(sigma=0.12) == Noise(sigma=Fraction(12, 100))
    assert Noise(sigma=0.12).variance == Fraction(306, 10) ** 2


words = st.integers(0, 2**64 - 1)


@settings(deadline=None, max_examples=200)
@given(number=words, more=words, sigma=st.sampled_from(SIGMAS[:2]))
def test_leading_bits_and_search_agree_with_the_whole_number(number, more, sigma):
    table = noise_table(Noise(sigma=sigma))
    check_against_integers(table, number, more)


def check_against_integers(table, number, more):
    thresholds = [int(h) << 64 | int(w) for h, w in zip(table.high, table.low, strict=True)]
    expected = sum(t <= (number << 64 | more) for t in thresholds) - table.bound
    leading, low = np.array([number >> 48], np.uint16), np.array([number % 2**48], np.uint64)
    assert resolve(table, leading, low, np.array([more], np.uint64))[0] == expected
    entry = int(table.lut[leading[0]])
    assert entry & 1 or entry >> 1 == expected


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_numbers_on_a_threshold_are_decided_by_further_bits(offset):
    table = noise_table(Noise(sigma="0.12"))
    for i in (0, 1, 300, 410, 411, 500, 818, 819):
        more = int(table.low[i]) + offset
        if 0 <= more < 2**64:
            check_against_integers(table, int(table.high[i]), more)


def philox4x64(counter: list[int], key: tuple[int, int]) -> list[int]:
    """Salmon et al. 2011, in plain integers."""
    k0, k1 = key
    for _ in range(10):
        a, b = 0xD2E7470EE14C6C93 * counter[0], 0xCA5A826395121157 * counter[2]
        mask = 2**64 - 1
        counter = [(b >> 64) ^ counter[1] ^ k0, b & mask, (a >> 64) ^ counter[3] ^ k1, a & mask]
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & mask, (k1 + 0xBB67AE8584CAA73B) & mask
    return counter


def test_philox_known_answers():
    assert philox4x64([0] * 4, (0, 0))[0] == 0x16554D9ECA36314C
    low, more = further_words(Keys((0, 0), 0), 0, np.array([0]))
    assert (int(low[0]), int(more[0])) == (0xC58D6627E8D5, 0x9B00DBD8BC57AC4C)


def test_every_word_lies_at_its_stated_counter():
    keys = keys_of(7)
    words = leading_words(keys, image=2**33 + 5, first_draw=11, count=3, pixels=40)
    assert words.shape == (3, 48)
    for j, row in enumerate(words):
        for b in range(3):
            block = philox4x64([(11 + j) * 3 + b + 1, 0, 2**33 + 5, 0], keys.leading)
            expected = [(w >> shift) & 0xFFFF for w in block for shift in (0, 16, 32, 48)]
            assert row[16 * b : 16 * b + 16].tolist() == expected


@pytest.mark.parametrize("pixels", [1, 16, 40, 3072])
def test_a_draw_does_not_depend_on_how_it_is_asked_for(pixels):
    table, keys = noise_table(Noise(sigma="0.25")), keys_of(3)
    whole = draw(table, keys, 9, 0, 120, pixels)
    parts = [draw(table, keys, 9, a, b - a, pixels) for a, b in ((0, 1), (1, 50), (50, 120))]
    assert np.array_equal(whole, np.concatenate(parts))


def test_images_draws_and_seeds_have_their_own_noise():
    table = noise_table(Noise(sigma="0.25"))
    rows = [
        draw(table, keys_of(seed), image, first, 1, 3072)[0]
        for seed, image, first in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))
    ]
    agreement = [(a == b).mean() for i, a in enumerate(rows) for b in rows[:i]]
    assert max(agreement) < 0.02


def sample_numpy(noise: Noise, size: int) -> np.ndarray:
    return draw(noise_table(noise), keys_of(20), 1, 0, size // 2**12, 2**12).reshape(-1)


def sample_torch(noise: Noise, size: int) -> np.ndarray:
    return training_noise(noise_table(noise), (size,), torch.Generator().manual_seed(5)).numpy()


@pytest.mark.parametrize("sample", [sample_numpy, sample_torch])
@pytest.mark.parametrize("law", INTEGER_LAWS)
@pytest.mark.parametrize("sigma", ["0.004", "0.12", "1.0"])
def test_samples_follow_the_law(sample, law, sigma):
    noise, size = Noise(sigma=sigma, law=law), 2**20
    reach = noise_table(noise).bound
    p = pmf(noise, reach)
    seen = np.bincount(sample(noise, size).astype(np.int64) + reach, minlength=2 * reach + 1)
    common = p * size >= 10
    observed, expected = np.append(seen[common], seen[~common].sum()), p[common] * size
    expected = np.append(expected, size - expected.sum())
    assert stats.chisquare(observed, expected).pvalue > 1e-4
    k = np.arange(-reach, reach + 1)
    for power in (1, 2, 3, 4):
        spread = np.sqrt((p * k.astype(float) ** (2 * power)).sum() / size)
        assert (
            abs(
                (seen * k.astype(float) ** power).sum() / size
                - (p * k.astype(float) ** power).sum()
            )
            < 4.5 * spread
        )


def test_training_noise_follows_its_generator():
    table = noise_table(Noise(sigma="0.12"))
    first, again, other = (
        training_noise(table, (3, 5, 7), torch.Generator().manual_seed(s)) for s in (1, 1, 2)
    )
    assert first.shape == (3, 5, 7)
    assert first.dtype == torch.int16
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
