from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from robench.base.errors import UserError
from robench.smoothing.compiled import CNoise, CompiledVotes, vote_source
from robench.smoothing.noise import Noise, noise_table
from robench.smoothing.philox import further_words, keys_of, leading_words
from robench.smoothing.sampling import draw
from robench.smoothing.votes import IntegerVotes

PIXELS, CLASSES = 37, 5
COMPILER = shutil.which("cc")
pytestmark = pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")
TOY = (Path(__file__).parent / "toy_network.c").read_text()


def compiled(folder: Path, *flags: str) -> ctypes.CDLL:
    source, library = folder / "toy.c", folder / "toy.so"
    source.write_text(vote_source(TOY, adapter=""))
    strict = ["-std=gnu99", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function"]
    command = [COMPILER, *strict, *flags, "-shared", "-fPIC", "-pthread", source, "-o", library]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(library))


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("fast"), "-O3")


def toy_labels(noisy: np.ndarray) -> np.ndarray:
    p, c = np.arange(PIXELS), np.arange(CLASSES)
    weights = (p[:, None] * 7 + c * 3) % 11 - 5
    return (noisy.reshape(-1, PIXELS).astype(np.int64) @ weights).argmax(1)


def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (9, 1, 1, PIXELS), dtype=np.uint8)


def c_noise(library, noise: Noise, seed: int, stream: int, first: int, count: int) -> np.ndarray:
    table, out = noise_table(noise), np.empty((count, PIXELS), dtype=np.int16)
    struct = CNoise.of(table, keys_of(seed))
    library.rb_noise_of(
        ctypes.byref(struct), ctypes.c_int64(stream), ctypes.c_int64(first),
        ctypes.c_int64(count), out.ctypes.data_as(ctypes.c_void_p),
    )  # fmt: skip
    return out


def check_noise(library) -> None:
    for sigma, law in (
        ("0.12", "discrete_gaussian"),
        ("1.0", "rounded_gaussian"),
        ("4.5", "discrete_gaussian"),
    ):
        noise = Noise(sigma=sigma, law=law)
        for stream, first in ((0, 0), (2**40 + 3, 2**31)):
            expected = draw(noise_table(noise), keys_of(5), stream, first, 400, PIXELS)
            assert np.array_equal(c_noise(library, noise, 5, stream, first, 400), expected)


def test_noise_is_numpys(library):
    check_noise(library)


@pytest.mark.parametrize(
    "flags",
    [
        ("-O0", "-fsanitize=undefined", "-fno-sanitize-recover"),
        ("-O3", "-DRB_NO_INT128"),
        ("-O3", "-march=native"),
    ],
)
def test_noise_is_the_same_however_compiled(tmp_path, flags):
    check_noise(compiled(tmp_path, *flags))


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_c_decides_near_thresholds_as_numpy_does(tmp_path, offset):
    """Moves a threshold onto the number drawn, which chance would not do in 10^9 years."""
    library = compiled(tmp_path, "-O1")
    table, keys = noise_table(Noise(sigma="0.12")), keys_of(1)
    words = leading_words(keys, 0, 0, 60, PIXELS)
    place = np.flatnonzero((table.lut[words.reshape(-1)] & 1) == 1)[:20]
    place = place[place % 48 < PIXELS]
    assert len(place) > 3
    for at in place:
        low, more = further_words(keys, 0, np.array([at]))
        number = np.uint64(words.reshape(-1)[at]) << np.uint64(48) | low[0]
        i = int(np.searchsorted(table.high, number))
        moved = type(table)(
            bound=table.bound,
            high=table.high.copy(),
            low=table.low.copy(),
            lut=table.lut,
            tau=table.tau,
        )
        moved.high[i], moved.low[i] = number, int(more[0]) + offset
        expected = draw(moved, keys, 0, 0, 60, PIXELS)
        out = np.empty((60, PIXELS), dtype=np.int16)
        library.rb_noise_of(
            ctypes.byref(CNoise.of(moved, keys)), ctypes.c_int64(0), ctypes.c_int64(0),
            ctypes.c_int64(60), out.ctypes.data_as(ctypes.c_void_p),
        )  # fmt: skip
        assert np.array_equal(out, expected)
        assert expected[at // 48, at % 48] == i - table.bound + (offset <= 0)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("count", [1, 3, 16, 17, 333])
def test_votes_are_numpys_for_any_number_of_threads(library, threads, count):
    options = {"images": images(), "classes": CLASSES, "noise": Noise(sigma="0.25"), "seed": 2}
    rows = np.array([8, 0, 3, 3])
    fast = CompiledVotes(library=library, threads=threads, **options)
    slow = IntegerVotes(labels=toy_labels, **options)
    assert np.array_equal(fast.votes(rows, 11, count), slow.votes(rows, 11, count))


def test_votes_of_no_images_and_no_draws(library):
    votes = CompiledVotes(
        library=library, images=images(), classes=CLASSES, noise=Noise(sigma="0.25"), seed=2
    )
    assert votes.votes(np.empty(0, dtype=np.int64), 0, 10).shape == (0, CLASSES)
    assert votes.votes(np.arange(3), 0, 0).sum() == 0


def test_streams_and_variants(library):
    noise = Noise(sigma="0.25")
    options = {"library": library, "classes": CLASSES, "noise": noise, "seed": 2}
    whole = CompiledVotes(images=images(), **options)
    kept = CompiledVotes(images=images()[[7]], streams=np.array([7]), **options)
    assert np.array_equal(kept.votes(np.arange(1), 0, 99), whole.votes(np.array([7]), 0, 99))
    other = CompiledVotes(images=images(), variant=1, **options)
    assert not np.array_equal(other.votes(np.arange(9), 0, 99), whole.votes(np.arange(9), 0, 99))


def test_images_off_the_grid_and_no_threads_are_refused(library):
    options = {"library": library, "classes": CLASSES, "noise": Noise(sigma="0.25"), "seed": 2}
    with pytest.raises(UserError, match="uint8"):
        CompiledVotes(images=images() / 255, **options)
    with pytest.raises(UserError, match="threads"):
        CompiledVotes(images=images(), threads=0, **options)
