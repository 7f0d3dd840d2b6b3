"""CW-L2 on scikit-learn's digits: robench's search against ART's CarliniL2Method.

    python benchmarks/cw.py [--images N] [--threads N]

A small CNN is trained on 1,400 digits; up to 397 others are attacked, 20 iterations for each of 5
constants, at three settings of the learning rate and the first constant. ART attacks all images in
one batch, its fastest way. Time is the processor time of the process, so that other work on the
machine counts less; ART is timed once at each setting (it takes minutes), robench before and after.

The constant multiplies the difference of two logits, so which one is right depends on their scale:
the printout gives the logits' median margin, and both sides start from the same constant. ART
doubles it when it fails, robench multiplies it by 10 as the authors' own code does.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import torch
from art.attacks.evasion import CarliniL2Method
from art.estimators.classification import PyTorchClassifier
from sklearn.datasets import load_digits
from torch import Tensor, nn

from robench.base.machine import keep_memory
from robench.core.threat import Threat
from robench.search import CarliniSearch, margin

SEARCH_STEPS, STEPS, TRAIN = 5, 20, 1400
SETTINGS = ((0.01, 0.01), (0.1, 0.01), (0.1, 1.0))


def trained(images: Tensor, labels: Tensor) -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU()),
        *(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1024, 128), nn.ReLU(), nn.Linear(128, 10)),
    )
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(15):
        for index in torch.randperm(len(images)).split(64):
            loss = nn.functional.cross_entropy(net(images[index]), labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return net.eval()


def ours(net: nn.Module, images: Tensor, labels: Tensor, rate: float, const: float) -> Tensor:
    search = CarliniSearch(
        search_steps=SEARCH_STEPS, steps=STEPS, learning_rate=rate, initial_const=const
    )
    return search.run(net, images, labels, Threat("l2", None, grid=False))


def arts(net: nn.Module, images: Tensor, labels: Tensor, rate: float, const: float) -> Tensor:
    attack = CarliniL2Method(
        PyTorchClassifier(
            net, nn.CrossEntropyLoss(), tuple(images.shape[1:]), 10, clip_values=(0, 1)
        ),
        learning_rate=rate,
        initial_const=const,
        max_iter=STEPS,
        binary_search_steps=SEARCH_STEPS,
        batch_size=len(images),
        verbose=False,
    )
    return torch.from_numpy(attack.generate(images.numpy(), labels.numpy()))


def timed(work: Callable[[], Tensor]) -> tuple[Tensor, float]:
    start = time.process_time()
    found = work()
    return found, time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=397)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_memory()
    data = load_digits()
    pixels = torch.from_numpy(data.images).float()[:, None] / 16
    labels = torch.from_numpy(data.target).long()
    net = trained(pixels[:TRAIN], labels[:TRAIN])
    images, labels = pixels[TRAIN:][: options.images], labels[TRAIN:][: options.images]
    with torch.no_grad():
        gap = -margin(net(images), labels).median().item()
    print(f"{len(images)} images, median margin of the logits {gap:.2f}")
    for rate, const in SETTINGS:
        report(net, images, labels, rate, const)


def report(net: nn.Module, images: Tensor, labels: Tensor, rate: float, const: float) -> None:
    work = partial(ours, net, images, labels, rate, const)
    work()
    mine, before = timed(work)
    theirs, slow = timed(partial(arts, net, images, labels, rate, const))
    _, after = timed(work)
    with torch.no_grad():
        broken = [net(found).argmax(1) != labels for found in (mine, theirs)]
    both = broken[0] & broken[1]
    medians = [(x - images).flatten(1).norm(dim=1)[both].median().item() for x in (mine, theirs)]
    ratios = sorted((slow / before, slow / after))
    print(
        f"learning rate {rate}, first constant {const}: {slow:.1f} s against {before:.2f} s, "
        f"{ratios[0]:.1f} to {ratios[1]:.1f} times faster; success {broken[0].float().mean():.3f} "
        f"(ART {broken[1].float().mean():.3f}); median L2 where both succeed {medians[0]:.4f} "
        f"(ART {medians[1]:.4f}), ratio {medians[0] / medians[1]:.3f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
