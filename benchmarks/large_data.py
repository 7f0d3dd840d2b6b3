"""Data sets as large as ImageNet's validation set: what converting and judging them costs.

    python benchmarks/large_data.py [--pictures 50000] [--judged 1000] [--work DIR]

Pictures are JPEGs of several sizes, cut from the real ones of Caltech-101 and CIFAR-10 below
ROBENCH_DATA, enlarged where need be. All lies below --work, or in a folder that is deleted. The
plainest loop opens, converts, resizes and cuts one picture after another, and keeps none. Both
sides alternate on the same pictures; CPU seconds stand beside the clock's, as others may be at
work. Training's batches are drawn from the map, as the loop does it, and by a DataLoader with as
many workers as there are processors, each from pages that the system has dropped.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from robench.core.data import Split
from robench.core.mapped import MappedSplit
from robench.core.source import Part, Source
from robench.core.threat import UsualThreat
from robench.run.data_cache import write_data
from robench.training.loop import Trainer
from robench.training.loss import plain_loss
from robench.training.recipe import Recipe
from robench_data.image_folder import ImageFolder
from robench_data.images import Decoding, Pictures

SIZES = ((256, 256), (224, 224), (320, 240), (300, 400), (375, 250))
"""Width and height of the pictures, in turn."""
IMAGENET = ((500, 375),)
"""Of ImageNet's commonest pictures."""
CLASSES = 100
QUALITY = 85
RESIZED, SIZE = 256, 224
CHUNK, ROUNDS = 222, 5
"""Pictures that a side works on at a time, and how often."""
SCALED = 2_000
"""Pictures that are converted by one process and by two."""
EPOCHS = 30
DRAWN, BATCH = 3_000, 64
"""Images that a training draws from the pixels, and at a time."""


class Cost(NamedTuple):
    """Seconds of the clock, and of the processors."""

    wall: float
    cpu: float


# -- pictures --------------------------------------------------------------------------------------


def make_pictures(folder: Path, count: int, sizes: tuple[tuple[int, int], ...] = SIZES) -> None:
    """Train and test folders of CLASSES classes, a hundredth to train on; the same each time."""
    jobs = [(folder, start, min(start + 500, count), sizes) for start in range(0, count, 500)]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(_make_some, jobs))


@cache
def originals() -> list[np.ndarray]:
    """Real pictures, uint8 (H, W, 3): all of Caltech-101 that is there, and 400 of CIFAR-10."""
    root = Path(os.environ.get("ROBENCH_DATA", "data"))
    paths = sorted((root / "caltech101" / "101_ObjectCategories").glob("[!B]*/*.jpg"))
    photos = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    records = np.fromfile(root / "cifar-10-batches-bin" / "test_batch.bin", np.uint8, 400 * 3073)
    small = records.reshape(-1, 3073)[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return [*photos, *small]


def _make_some(job: tuple[Path, int, int, tuple[tuple[int, int], ...]]) -> None:
    folder, start, stop, sizes = job
    for number in range(start, stop):
        rng = np.random.default_rng(number)
        # A class has a few originals of its own, so that there is something to learn.
        own = originals()[number % CLASSES :: CLASSES]
        picture = Image.fromarray(own[rng.integers(len(own))])
        width, height = picture.size
        left, top = (int(rng.integers(0, side // 3 + 1)) for side in (width, height))
        box = (left, top, left + width * 2 // 3, top + height * 2 // 3)
        part = "train" if number % CLASSES == number // CLASSES % CLASSES else "test"
        place = folder / part / f"class {number % CLASSES:03}" / f"{number:06}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        resized = picture.resize(sizes[number % len(sizes)], Image.Resampling.BICUBIC, box)
        resized.save(place, quality=QUALITY)


# -- conversion ------------------------------------------------------------------------------------


def plain(paths: list[Path]) -> None:
    """The plainest decoding loop."""
    for path in paths:
        image = Image.open(path).convert("RGB")
        width, height = (RESIZED * side // min(image.size) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
        left, top = (width - SIZE) // 2, (height - SIZE) // 2
        np.asarray(image.crop((left, top, left + SIZE, top + SIZE)))


def converted(paths: list[Path], folder: Path) -> None:
    """The same pictures into shards, as a run does it: hashed twice, written, labels beside."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    part = Part(Pictures(paths, Decoding(RESIZED, SIZE)), torch.zeros(len(paths)).long())
    write_data(Source(None, part, ("one",), UsualThreat({"linf": (0.1, 0.2, 0.3)}, 0.1)), folder)


def cost(work: Callable[[], None]) -> Cost:
    begin, used = time.perf_counter(), _used()
    work()
    return Cost(time.perf_counter() - begin, _used() - used)


def _used() -> float:
    """CPU seconds of this process and of its children that ended."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, kinds))


def compare(paths: list[Path], work: Path) -> tuple[float, float]:
    """Ratio of our pictures a second to the plainest loop's, on one processor: wall, CPU."""
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(processors)})
    ratios = []
    for turn in range(ROUNDS + 1):
        some = paths[turn * CHUNK : (turn + 1) * CHUNK]
        first, ours = cost(lambda: plain(some)), cost(lambda: converted(some, work / "chunk"))  # noqa: B023
        again = cost(lambda: plain(some))  # noqa: B023
        # The first turn reads the pictures from the disk, and warms up.
        if turn:
            ratios.append([(a + b) / 2 / c for a, b, c in zip(first, again, ours, strict=True)])
    os.sched_setaffinity(0, processors)
    wall, cpu = (statistics.median(column) for column in zip(*ratios, strict=True))
    return wall, cpu


def scale(paths: list[Path], work: Path) -> dict[int, Cost]:
    """What converting the same pictures costs by one processor, and by all there are."""
    every, result = os.sched_getaffinity(0), {}
    for processors in ({min(every)}, every):
        os.sched_setaffinity(0, processors)
        result[len(processors)] = cost(lambda: converted(paths, work / "scaled"))
    return result


# -- judging ---------------------------------------------------------------------------------------

WEIGHTS = "LARGE_DATA_WEIGHTS"
"""The variable that names the file of the trained network."""


def network(classes: int = CLASSES) -> nn.Module:
    """A network that costs next to nothing: what is measured is the data."""
    return nn.Sequential(
        nn.Conv2d(3, 24, 8, stride=8),
        nn.ReLU(),
        nn.Conv2d(24, 48, 3, stride=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(768, classes),
    )


def trained(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """The network as model=python asks for it."""
    del shape
    made = network(classes)
    made.load_state_dict(load_file(os.environ[WEIGHTS]))
    return made


def train(pictures: Path, weights: Path) -> None:
    part = ImageFolder(path=str(pictures), resize=RESIZED).source(Path()).train
    assert part is not None
    split = Split(torch.from_numpy(part.images.read()), part.labels)
    torch.manual_seed(0)
    recipe = Recipe(epochs=EPOCHS, batch=32, optimizer="adam", lr=0.002)
    fitted = Trainer(recipe, 0, torch.device("cpu")).fit(network(), split, plain_loss)
    save_file({name: one.contiguous() for name, one in fitted.state_dict().items()}, weights)


ALONE = """
import torch
from benchmarks.large_data import network
with torch.no_grad():
    network().eval()(torch.rand(100, 3, 224, 224))
"""
"""What runs the model alone, on a batch."""


def command(pictures: Path, judged: int) -> list[str]:
    return [
        *(sys.executable, "-m", "robench", "run", "dataset=image_folder"),
        f"dataset.image_folder.path={pictures}",
        f"dataset.image_folder.resize={RESIZED}",
        "model=python",
        "model.python.spec=benchmarks.large_data:trained",
        "model.python.pretrained=true",
        "attack=[fgsm,pgd]",
        "attack.pgd.steps=5",
        f"images={judged}",
        "threads=1",
    ]


def run(arguments: list[str]) -> tuple[Cost, int]:
    """What a process cost, and its peak memory in bytes."""
    begin = time.perf_counter()
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)[:200]} ended with {process.returncode}")
    wall = time.perf_counter() - begin
    return Cost(wall, used.ru_utime + used.ru_stime), used.ru_maxrss * 1024


# -- training --------------------------------------------------------------------------------------


class Drawn(Dataset[Tensor]):
    """Images of a split one by one, for a DataLoader."""

    def __init__(self, split: Split, order: list[int]) -> None:
        self.split = split
        self.order = order

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, at: int) -> Tensor:
        return self.split.images[self.order[at]]


def epoch(split: Split, workers: int, network_: nn.Module) -> float:
    """Images a second of a training on DRAWN images in a random order; 0 workers: from the map."""
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(workers))[:DRAWN]
    begin = time.perf_counter()
    batches: Iterable[Tensor] = (split.images[index] for index in order.split(BATCH))
    if workers:
        batches = DataLoader(Drawn(split, order.tolist()), BATCH, num_workers=workers)
    for pixels in batches:
        network_(pixels.float() / 255).square().mean().backward()
    return DRAWN / (time.perf_counter() - begin)


def _training(work: Path) -> None:
    file = next((work / "cache" / "data").glob("*/*/test.pixels"))
    shape = json.loads((file.parent / "about.json").read_text())["shapes"]["test"]
    split = MappedSplit(file, tuple(shape), torch.zeros(shape[0]).long())
    rates: dict[int, list[float]] = {0: [], os.cpu_count() or 1: []}
    for _ in range(3):
        for workers, measured in rates.items():
            with file.open("rb") as opened:
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            measured.append(epoch(split, workers, network()))
    for workers, measured in rates.items():
        how = f"a DataLoader of {workers} workers" if workers else "the map"
        print(f"training from {how}: {statistics.median(measured):.0f} images/s; {_load()}")


# -- all -------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=50_000)
    parser.add_argument("--judged", type=int, default=1_000)
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder)
        os.environ |= {"ROBENCH_CACHE": f"{work}/cache", "ROBENCH_RESULTS": f"{work}/results"}
        for name, sizes, count in (("small", SIZES, options.pictures), ("large", IMAGENET, 2_500)):
            if not (work / name).exists():
                make_pictures(work / name, count, sizes)
        _judging(work, options.judged)
        _training(work)
        _conversion(work)


def _conversion(work: Path) -> None:
    for name in ("small", "large"):
        paths = sorted((work / name / "test").glob("*/*.jpg"))
        size = sum(path.stat().st_size for path in paths) / len(paths)
        wall, cpu = compare(paths, work)
        print(f"{name}: {size / 1000:.0f} kB a picture: {wall:.2f} of the plainest loop's rate on")
        print(f"    one processor by the clock, {cpu:.2f} by CPU seconds; target 0.9; {_load()}")
    for processors, took in scale(paths[:SCALED], work).items():
        rate = len(paths[:SCALED]) / took.wall
        print(f"large, {processors} processors: {rate:.0f} pictures/s, CPU {took.cpu:.1f} s")


def _judging(work: Path, judged: int) -> None:
    os.environ |= {WEIGHTS: str(work / "weights.safetensors")}
    train(work / "small", Path(os.environ[WEIGHTS]))
    _, alone = run([sys.executable, "-c", ALONE])
    asked = command(work / "small", judged)
    first, peak = run(asked)
    print(
        f"first run: {first.wall:.0f} s, CPU {first.cpu:.0f} s; peak {peak / 1e9:.2f} GB; {_load()}"
    )
    shutil.rmtree(work / "results")
    for step in (path for path in (work / "cache").iterdir() if path.name != "data"):
        shutil.rmtree(step)
    again, peak = run(asked)
    print(f"judged of shards that are there: {again.wall:.0f} s, CPU {again.cpu:.0f} s")
    print(f"    peak {peak / 1e9:.2f} GB, {(peak - alone) / 1e9:.2f} above the model; target 2")
    plain = [run([sys.executable, "-c", "import torch"])[0] for _ in range(ROUNDS)]
    cached = [run(asked)[0] for _ in range(ROUNDS)]
    beyond = [c.wall - t.wall for c, t in zip(cached, plain, strict=True)]
    cpu = [c.cpu - t.cpu for c, t in zip(cached, plain, strict=True)]
    print(
        f"second run beyond import torch: {statistics.median(beyond):.2f} s, "
        f"CPU {statistics.median(cpu):.2f} s; target 3; {_load()}"
    )


def _load() -> str:
    return f"load {os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    main()
