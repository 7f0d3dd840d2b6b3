"""PGD-10 and FGSM on cnn4: the components against the plainest good loop, and ART's own.

    python benchmarks/pgd.py [--rounds N] [--threads N] [--batches N]

All sides run alternately in one process on the same images with the same memory settings. The plain
loop has frozen weights and images laid out channels last, as robench has; `stock ART` is ART as its
documentation uses it, which differentiates the weights along with the images; `engine=art` is the
same class behind robench, which freezes them. Time is the processor time of the process, so that
other work on the machine counts less. Printed is the median of the per-round
ratios and their range.

The line `FGSM` has for its ratio three lines that do nothing else. What the component takes besides
is the same for any number of images, and shows on the smallest networks alone: it seeds and puts
back the global generators, freezes the twin, and asks it about one image before the search, since
the published examples of random twins were drawn after that answer.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from art.attacks.evasion import ProjectedGradientDescentPyTorch
from art.estimators.classification import PyTorchClassifier
from torch import Tensor, nn

from robench.base.machine import keep_memory
from robench.core.threat import Threat
from robench_attacks import FGSM, PGD
from robench_data.cnn4 import CNN4

STEPS, EPS, BATCH = 10, 0.3, 250
STEP_SIZE = 2.5 * EPS / STEPS

Side = Callable[[Tensor, Tensor, torch.Generator], Tensor]


def plain_pgd(net: nn.Module, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
    """The loop one writes by hand: no best iterate, no masks, nothing but PGD."""
    images = images.contiguous(memory_format=torch.channels_last)
    low, high = (images - EPS).clamp(0, 1), (images + EPS).clamp(0, 1)
    x = (images + EPS * (2 * torch.rand(images.shape, generator=rng) - 1)).clamp(0, 1)
    for _ in range(STEPS):
        x.requires_grad_()
        loss = nn.functional.cross_entropy(net(x), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, x)
        x = torch.clamp(x.detach() + STEP_SIZE * gradient.sign(), low, high)
    return x


def plain_fgsm(net: nn.Module, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
    """FGSM and nothing else."""
    del rng
    x = images.clone(memory_format=torch.channels_last).requires_grad_()
    (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(net(x), labels), x)
    return (images + EPS * gradient.sign()).clamp(0, 1)


def fgsm(
    net: nn.Module, threat: Threat, images: Tensor, labels: Tensor, rng: torch.Generator
) -> Tensor:
    return FGSM().run(net, images, labels, threat, rng)


def component(
    engine: str,
    net: nn.Module,
    threat: Threat,
    images: Tensor,
    labels: Tensor,
    rng: torch.Generator,
) -> Tensor:
    return PGD(steps=STEPS, engine=engine).run(net, images, labels, threat, rng)


def stock_art(net: nn.Module, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
    """ART as its documentation uses it: weights not frozen."""
    del rng
    attack = ProjectedGradientDescentPyTorch(
        PyTorchClassifier(net, nn.CrossEntropyLoss(), tuple(images.shape[1:]), 10),
        eps=EPS,
        eps_step=STEP_SIZE,
        max_iter=STEPS,
        num_random_init=1,
        batch_size=BATCH,
        verbose=False,
    )
    return torch.from_numpy(attack.generate(images.numpy(), labels.numpy()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batches", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_memory()
    torch.manual_seed(0)
    net = CNN4().build((1, 28, 28), 10).eval().requires_grad_(False)
    trainable = copy.deepcopy(net).requires_grad_(True)
    images, labels = torch.rand(options.batches, BATCH, 1, 28, 28), torch.arange(BATCH) % 10
    threat = Threat("linf", EPS)
    sides: dict[str, Side] = {
        "plain loop": partial(plain_pgd, net),
        "robench": partial(component, "robench", net, threat),
        "engine=art": partial(component, "art", net, threat),
        "stock ART": partial(stock_art, trainable),
        "three lines": partial(plain_fgsm, net),
        "FGSM": partial(fgsm, net, threat),
    }
    times: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(options.rounds + 1):
        for name, side in sides.items():
            rng = torch.Generator().manual_seed(turn)
            start = time.process_time()
            for part in images:
                side(part, labels, rng)
            if turn:  # the first round warms up
                times[name].append(time.process_time() - start)
    for name, taken in times.items():
        base = times["three lines" if name in ("three lines", "FGSM") else "plain loop"]
        ratios = [mine / plain for mine, plain in zip(taken, base, strict=True)]
        print(
            f"{name:12} {statistics.median(taken):6.3f} s   ratio {statistics.median(ratios):.3f} "
            f"({min(ratios):.3f} .. {max(ratios):.3f})"
        )


if __name__ == "__main__":
    main()
