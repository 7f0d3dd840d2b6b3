"""What certified smoothing costs: noise, forwards saved by sequential tests, engine against eager.

    python benchmarks/certify.py noise
    python benchmarks/certify.py votes RECORD --votes FILE.npz
    python benchmarks/certify.py draws [--votes FILE.npz]
    python benchmarks/certify.py engine [--draws N]

Every comparison alternates its sides in one process and prints the median of the ratios with
their range. For an eager loop with tuned malloc, run `engine` with MALLOC_MMAP_THRESHOLD_ and
MALLOC_TRIM_THRESHOLD_ at 8589934592 and MALLOC_TOP_PAD_ at 268435456. `draws` replays vote
sequences: simulated ones by default (the output says so), or those that `votes` stored from the
smoothed network of a record, on 500 test images (then training images, where these are fewer).
"""

from __future__ import annotations

import argparse
import ctypes
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import special

from robench.smoothing import metrics
from robench.smoothing.adaptive import Adaptive
from robench.smoothing.cohen import Cohen
from robench.smoothing.compiled import CompiledVotes, vote_source
from robench.smoothing.noise import Noise, noise_table
from robench.smoothing.philox import keys_of
from robench.smoothing.sampling import draw
from robench.smoothing.sequential import Sequential
from robench.smoothing.thresholds import looks_up_to

PIXELS = 3 * 32 * 32
N1, N2 = 100, 100_000

BLANK = f"""
#include <stdint.h>
#include <stdlib.h>
#define PIXELS {PIXELS}
#define CLASSES 2
#define GROUP 4
static uint8_t *new_scratch(void **block) {{ return *block = calloc(1, 64); }}
static int rb_variant(void) {{ return 0; }}
static void rb_prepare(int variant) {{ (void)variant; }}
static void rb_labels(int variant, const int16_t *images, int n, uint8_t *scratch,
                      int32_t *labels) {{
    (void)variant, (void)scratch;
    for (int i = 0; i < n; i++) labels[i] = images[i * PIXELS] > 0;
}}
"""


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(
    name: str, ours: Callable[[], object], theirs: Callable[[], object], rounds: int
) -> None:
    """Print theirs / ours: how many times faster ours is, by the clock and by processor time."""
    ours()
    theirs()
    wall, busy = [], []
    for _ in range(rounds):
        marks = [time.process_time()]
        took = []
        for side in (ours, theirs):
            took.append(seconds(side))
            marks.append(time.process_time())
        wall.append(took)
        busy.append((marks[2] - marks[1]) / (marks[1] - marks[0]))
    ratio = [theirs_s / ours_s for ours_s, theirs_s in wall]
    ours_s, theirs_s = np.median(wall, axis=0)
    print(
        f"{name}: {np.median(ratio):.2f}x ({min(ratio):.2f}-{max(ratio):.2f}), medians "
        f"{ours_s:.4f} s and {theirs_s:.4f} s; by processor time {np.median(busy):.2f}x "
        f"({min(busy):.2f}-{max(busy):.2f})"
    )


def rate(name: str, samples: int, threads: int, work: Callable[[], object], rounds: int) -> None:
    """Print the rate by the clock, and by processor time, which other processes disturb less."""
    work()
    wall, busy = [], []
    for _ in range(rounds):
        start = time.process_time()
        wall.append(samples / seconds(work) / 1e6)
        busy.append(threads * samples / (time.process_time() - start) / 1e6)
    print(
        f"{name}, {threads} threads: {np.median(wall):.0f} M samples/s "
        f"({min(wall):.0f}-{max(wall):.0f}); by processor time {np.median(busy):.0f} "
        f"({min(busy):.0f}-{max(busy):.0f})"
    )


def load(source: str, folder: str) -> ctypes.CDLL:
    from robench.integer.engine import compile_source

    library = Path(folder) / "votes.so"
    compile_source(source, library, ("-O3", "-std=gnu99", "-fPIC", "-shared", "-pthread"))
    return ctypes.CDLL(str(library))


def noise_rates(rounds: int = 21) -> None:
    """The numpy sampler against torch.randn on one thread (2^22 samples), and the C vote loop."""
    torch.set_num_threads(1)
    count = 2**22 // PIXELS
    keys, samples = keys_of(0), count * PIXELS
    with tempfile.TemporaryDirectory() as folder:
        library = load(vote_source(BLANK, adapter=""), folder)
        for sigma in ("0.12", "0.25", "1.0"):
            noise = Noise(sigma=Fraction(sigma))
            table = noise_table(noise)
            compare(
                f"sigma {sigma}: numpy noise (ours) against torch.randn, 1 thread",
                lambda table=table: draw(table, keys, 0, 0, count, PIXELS),  # type: ignore[misc]
                lambda: torch.randn(samples),
                rounds,
            )
            for threads in (1, 2):
                source = CompiledVotes(
                    library=library, images=np.zeros((1, PIXELS), dtype=np.uint8), classes=2,
                    noise=noise, seed=0, threads=threads,
                )  # fmt: skip
                rate(
                    f"sigma {sigma}: noise + image in C",
                    20_000 * PIXELS,
                    threads,
                    lambda source=source: source.votes(np.zeros(1, dtype=np.int64), 0, 20_000),  # type: ignore[misc]
                    rounds,
                )


# Where the certifiers compared below begin and end to count, of the draws of an image.
ADAPTIVE = Adaptive(n1=N1)
EDGES = np.unique([0, N1, *(N1 + looks_up_to(N2)), *(N1 + np.cumsum(ADAPTIVE.stages))])


class Replay:
    """Votes read from stored sequences, counting the forwards asked for.

    `counts` (images, len(EDGES) - 1, classes): the labels of the draws between two edges.
    """

    def __init__(self, counts: NDArray[np.int64], noise: Noise, pixels: int) -> None:
        self.counts, self.noise, self.pixels, self.forwards = counts, noise, pixels, 0

    def votes(self, images: NDArray[np.int64], first_draw: int, count: int) -> NDArray[np.int64]:
        first, last = np.searchsorted(EDGES, [first_draw, first_draw + count])
        assert [*EDGES[[first, last]]] == [first_draw, first_draw + count]
        self.forwards += len(images) * count
        counted: NDArray[np.int64] = self.counts[images, first:last].sum(1)
        return counted


def store_votes(record: Path, file: Path, images: int = 500) -> None:
    """Count the votes of a record's smoothed network between all EDGES, and keep them."""
    from robench.replay.rebuild import rebuild
    from robench.run.config import Places
    from robench.smoothing.classifier import SmoothedDeployed

    evidence = rebuild(record, Places.from_environment()).evidence
    test, train = evidence.data.test, evidence.data.train
    few = min(images, len(test))
    some = torch.arange(few) * len(test) // few
    pixels = torch.cat([test.images[some], train.images[: images - few]])
    truth = torch.cat([test.labels[some], train.labels[: images - few]]).numpy()
    deployed = evidence.system.deployed
    if not isinstance(deployed, SmoothedDeployed):
        raise SystemExit(f"expected the record of a smoothed network, got {record}")
    source = deployed.votes(pixels.numpy(), evidence.certify_seed)
    rows, start = np.arange(len(truth)), time.perf_counter()
    parts = [source.votes(rows, int(a), int(b - a)) for a, b in pairwise(EDGES)]
    np.savez_compressed(
        file, counts=np.stack(parts, axis=1), truth=truth, pixels=source.pixels,
        sigma=str(float(source.noise.sigma)), law=source.noise.law,
    )  # fmt: skip
    took = time.perf_counter() - start
    print(f"{few} test and {len(truth) - few} training images, {EDGES[-1]} draws: {took:.0f} s")


# Certified accuracy of Cohen et al.'s ResNet-110 by radius, to simulate votes from.
PUBLISHED = {
    "0.25": [(0.0, 0.75), (0.25, 0.60), (0.5, 0.43), (0.75, 0.27), (0.95, 0.08)],
    "0.5": [(0.0, 0.65), (0.25, 0.55), (0.5, 0.41), (0.75, 0.32), (1.0, 0.23), (1.5, 0.09)],
    "1.0": [(0.0, 0.47), (0.25, 0.39), (0.5, 0.34), (0.75, 0.28), (1.0, 0.22), (1.5, 0.14)],
}


def simulated(sigma: str, images: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two-class sequences whose true certified accuracies are near the published ones."""
    rng = np.random.default_rng(seed)
    radii, shares = np.array(PUBLISHED[sigma]).T
    place = (np.arange(images) + 0.5) / images
    radii, shares = np.append(radii, 3.8 * float(sigma)), np.append(shares, 0.0)
    radius = np.interp(place, shares[::-1], radii[::-1])
    p = special.ndtr(radius / float(sigma))
    wrong = place > shares[0]  # the label's probability where another class wins, as in the notes
    p[wrong] = rng.uniform(0.02, 0.5, wrong.sum())
    between = np.diff(EDGES)
    hits = rng.binomial(between, p[:, None])
    return np.stack([hits, between - hits], axis=2), np.zeros(images, dtype=np.int64)


def draws_saved(votes: Path | None) -> None:
    """Forwards of `sequential` and `adaptive` against N2 = 100,000, on the same sequences."""
    if votes is not None:
        with np.load(votes, allow_pickle=False) as stored:
            print(f"votes of {votes.name}")
            noise = Noise(sigma=Fraction(str(stored["sigma"])), law=str(stored["law"]))
            replay_all(noise, stored["counts"], stored["truth"], int(stored["pixels"]))
        return
    for seed, sigma in enumerate(PUBLISHED):
        print("SIMULATED votes, two classes, from published certified accuracies")
        replay_all(Noise(sigma=Fraction(sigma)), *simulated(sigma, 500, seed), PIXELS)


def replay_all(
    noise: Noise, counts: NDArray[np.int64], truth: NDArray[np.int64], pixels: int
) -> None:
    reach = 3.6 * float(noise.sigma)
    reachable = tuple(r for r in np.arange(0.25, 3.1, 0.25).tolist() if r < reach)
    single = [(r,) for r in (0.25, 0.5, 1.0) if r in reachable]
    for radii in (reachable, *single):
        replay(noise, counts, truth, pixels, radii)


def replay(
    noise: Noise,
    counts: NDArray[np.int64],
    truth: NDArray[np.int64],
    pixels: int,
    radii: tuple[float, ...],
) -> None:
    rows = np.arange(len(truth))
    base = Replay(counts, noise, pixels)
    reference = Cohen(n1=N1, n2=N2).certify(base, rows)
    for certifier in (Sequential(n1=N1, n2=N2), ADAPTIVE):
        source = Replay(counts, noise, pixels)
        found = certifier.certify(source, rows, radii)
        shares = [
            [metrics.certified_accuracy(rows_of, truth, r) for r in radii]
            for rows_of in (found, reference)
        ]
        gaps = 100 * (np.array(shares[0]) - shares[1])
        print(
            f"sigma {float(noise.sigma)}, radii {', '.join(map(str, radii))}, "
            f"{type(certifier).__name__.lower()}: {base.forwards / source.forwards:.1f}x fewer "
            f"forwards; certified accuracy {gaps.mean():+.2f} points on average, "
            f"worst {gaps.min():+.2f}"
        )


def engine_rate(draws: int, rounds: int = 5) -> None:
    """IntRS on the compiled engine against a plain float32 eager loop: ResNet-20, two threads."""
    from robench.integer import prepare_qat, to_program
    from robench.integer.codegen import generate
    from robench_data.resnet20 import ResNet20

    torch.set_num_threads(2)
    torch.manual_seed(0)
    model = ResNet20().build((3, 32, 32), 10).eval()
    twin = prepare_qat(model, (3, 32, 32))
    twin(torch.rand(32, 3, 32, 32))
    noise, image = Noise(sigma=Fraction(1, 4)), np.full((1, 3, 32, 32), 100, dtype=np.uint8)

    def eager() -> NDArray[np.int64]:
        counts, x = torch.zeros(10, dtype=torch.int64), torch.from_numpy(image) / 255
        with torch.no_grad():
            for start in range(0, draws, 400):
                batch = x.repeat(min(400, draws - start), 1, 1, 1)
                labels = model(batch + torch.randn_like(batch) * 0.25).argmax(1)
                counts += torch.bincount(labels, minlength=10)
        return np.asarray(counts)

    with tempfile.TemporaryDirectory() as folder:
        library = load(vote_source(generate(to_program(twin.eval()))), folder)
        source = CompiledVotes(
            library=library, images=image, classes=10, noise=noise, seed=0, threads=2,
            variant=library.robench_isa(None),
        )  # fmt: skip
        compare(
            f"ResNet-20, one image, {draws} draws, 2 threads: engine (ours) against eager float32",
            lambda: source.votes(np.zeros(1, dtype=np.int64), 0, draws),
            eager,
            rounds,
        )


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("part", choices=("noise", "votes", "draws", "engine"))
    parser.add_argument("record", type=Path, nargs="?", help="folder of a record, for `votes`")
    parser.add_argument("--votes", type=Path, help="file of vote sequences (npz)")
    parser.add_argument("--draws", type=int, default=4000, help="draws a side for `engine`")
    options = parser.parse_args(arguments)
    if options.part == "noise":
        noise_rates()
    elif options.part == "votes":
        if options.record is None or options.votes is None:
            parser.error("votes: expected the folder of a record and --votes FILE")
        store_votes(options.record, options.votes)
    elif options.part == "draws":
        draws_saved(options.votes)
    else:
        engine_rate(options.draws)


if __name__ == "__main__":
    main(sys.argv[1:])
