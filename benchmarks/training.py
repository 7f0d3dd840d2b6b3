"""An epoch of resnet20 through robench's training loop against the plainest good torch loop.

    python benchmarks/training.py [--images 2560] [--rounds 7] [--threads 2]

Both sides: channels last, kept memory, batch 128, SGD with momentum, flips and padded crops. The
sides alternate in one process; the figure is the median of the ratios of neighbours.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
import torch.nn.functional as F

from robench.base.machine import keep_memory
from robench.core.data import Split
from robench.plugin.components import Defense
from robench.plugin.registry import registry
from robench.training.loop import Trainer
from robench.training.recipe import Recipe

RECIPE = Recipe(epochs=1, batch=128, optimizer="sgd", lr=0.1, weight_decay=5e-4, flip=True, crop=4)


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return registry().get("model", "resnet20").make().build((3, 32, 32), 10)  # type: ignore[attr-defined]


def plain(split: Split) -> None:
    """What a careful user writes by hand."""
    model = network().to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=5e-4)
    order = torch.randperm(len(split))
    for index in order.split(128):
        images = split.images[index].float() / 255
        padded = F.pad(images, (4, 4, 4, 4))
        rows, columns = (torch.randint(0, 9, (len(index),)) for _ in range(2))
        images = torch.stack(
            [p[:, r : r + 32, c : c + 32] for p, r, c in zip(padded, rows, columns, strict=True)]
        )
        flip = torch.rand(len(index)) < 0.5
        images[flip] = images[flip].flip(3)
        images = images.contiguous(memory_format=torch.channels_last)
        loss = F.cross_entropy(model(images), split.labels[index])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


class Plain(Defense):
    """Cross-entropy."""


def ours(split: Split) -> None:
    Trainer(RECIPE, 0, torch.device("cpu")).fit(network(), split, Plain().loss)


def seconds(side: object, split: Split) -> float:
    start = time.perf_counter()
    side(split)  # type: ignore[operator]
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2560)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_memory()
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (options.images, 3, 32, 32), generator=rng, dtype=torch.uint8)
    split = Split(pixels, torch.randint(0, 10, (options.images,), generator=rng))
    for side in (plain, ours):
        side(split)
    pairs = [(seconds(ours, split), seconds(plain, split)) for _ in range(options.rounds)]
    ratios = [a / b for a, b in pairs]
    for name, times in zip(("robench", "plain loop"), zip(*pairs, strict=True), strict=True):
        rates = sorted(options.images / t for t in times)
        print(
            f"{name:<12}{statistics.median(rates):8.0f} img/s  ({rates[0]:.0f} to {rates[-1]:.0f})"
        )
    print(
        f"ratio of times, robench / plain: {statistics.median(ratios):.3f} "
        f"({min(ratios):.3f} to {max(ratios):.3f}); target at most 1.05"
    )


if __name__ == "__main__":
    main()
