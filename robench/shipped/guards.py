"""Does a file make sense on these data? Asked on a few images before any attack."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from robench.base.errors import ConfigError
from robench.base.seeds import generator
from robench.base.stats import wilson
from robench.core.data import Data, Split, stratified
from robench.core.system import System
from robench.shipped.contract import LAYOUTS, SCALES, Contract
from robench.shipped.deployed import FileDeployed

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

IMAGES = 200
"""Images that a file is tried on, at most."""
ALONE = 20
"""Of these, images that are asked about one by one."""
ROUNDED = 0.2
"""Share of their deviation by which answers may differ: activations that are quantised by the range
that a batch has differ by a tenth."""
ROUNDING = 0.02
"""How far a sum of probabilities may be from 1, a class at a time where they have 8 bits."""
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CENTRED = (0.5,), (0.5,)
"""Means and deviations that people subtract outside of a file, in [0,1] pixels."""


@dataclass(frozen=True)
class Guess:
    """Another contract that a file may have been made for."""

    setting: str
    """As it is set on the command line."""
    contract: Contract


def require_sense(system: System, data: Data) -> None:
    """Raise ConfigError for a file whose answers cannot be meant as they are read.

    That is answers that are no numbers, or hang on chance or on the other images of a batch,
    probabilities where logits are expected or the other way round, pixels of another scale than
    the file surely wants, and a clean accuracy that cannot be told from always naming one class.
    The message names the likely cause.
    """
    deployed = system.deployed
    assert isinstance(deployed, FileDeployed)
    few = _few(data.test)
    _require_numbers(deployed, few)
    _require_outputs(deployed, few)
    right = _right(deployed, few)
    commonest = float(torch.bincount(few.labels).max()) / len(few)
    lost = wilson(int(right.sum()), len(few))[0] <= commonest
    classes = len(data.classes)
    guesses = [*_scales(deployed), *_orders(deployed, few, classes)]
    guesses += _others(deployed, data) if lost else ()
    tried = [(guess, _right(deployed.read_as(guess.contract), few)) for guess in guesses]
    best = max(tried, key=lambda one: one[1].sum(), default=None)
    if (
        best
        and _surely_better(best[1], right)
        and wilson(int(best[1].sum()), len(few))[0] > (commonest)
    ):
        raise ConfigError(
            f"expected images as the file takes them, got {right.mean():.1%} of {len(few)} test "
            f"images right with {deployed.contract.words}; with {best[0].setting} it is "
            f"{best[1].mean():.1%}: set that"
        )
    if lost:
        raise ConfigError(
            f"expected a clean accuracy above that of always naming one class, {commonest:.1%}, "
            f"got {right.mean():.1%} of {len(few)} test images right with "
            f"{deployed.contract.words}: is the file of another data set, are its classes in "
            "another order (model.file.order), or its pixels normalised outside of it "
            "(model.file.mean and .std)?"
        )


def _few(test: Split) -> Split:
    if len(test) <= IMAGES:
        return test
    return test.take(stratified(test.labels, IMAGES, np.random.default_rng(0)))


def _right(deployed: FileDeployed, few: Split) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (deployed.predict(few.float_images()) == few.labels).numpy()
    return found


def _surely_better(right: NDArray[np.bool_], than: NDArray[np.bool_]) -> bool:
    n = len(than)
    return wilson(int(right.sum()), n)[0] > wilson(int(than.sum()), n)[1]


def _require_numbers(deployed: FileDeployed, few: Split) -> None:
    """Ask about the same images again, and about some alone: each has one answer of its own."""
    images = few.float_images()
    first = deployed.answers(images).double()
    if not bool(first.isfinite().all()):
        raise ConfigError(
            f"expected finite numbers of the file, got NaN or infinite ones for "
            f"{int((~first.isfinite()).any(1).sum())} of {len(images)} test images; export it "
            "again, and look at its answers in the framework that made it"
        )
    if not _alike(first, deployed.answers(images).double()):
        raise ConfigError(
            "expected the same answers to the same images, got others when asked again: the file "
            "draws at random; export it without that (dropout and noise off), or judge the network "
            "as model=python"
        )
    alone = deployed.read_as(deployed.contract)
    alone.batch = 1
    if not _alike(first[:ALONE], alone.answers(images[:ALONE]).double()):
        raise ConfigError(
            "expected an answer to an image that hangs on it alone, got another one beside other "
            "images: the file's network mixes those of a batch; export it for inference"
        )


def _alike(answers: Tensor, others: Tensor) -> bool:
    """Whether answers differ by rounding at most: by little of their own deviation."""
    spread = (answers - answers.mean(0)).square().sum()
    return float((answers - others).square().sum()) <= ROUNDED**2 * float(spread)


def _require_outputs(deployed: FileDeployed, few: Split) -> None:
    raw = deployed.answers(few.float_images()[:20])
    sums = (raw.sum(1) - 1).abs() <= ROUNDING * max(1, raw.shape[1] / 10)
    inside = bool(((raw >= 0) & (raw <= 1 + ROUNDING)).all())
    likely = "probabilities" if inside and bool(sums.all()) else "logits"
    said = deployed.contract.outputs
    if said == "logits" and likely != said:
        raise ConfigError(
            "expected logits of the file, got numbers from 0 to 1 that sum to 1; set "
            "model.file.outputs=probabilities"
        )
    if said == "probabilities" and not inside:
        raise ConfigError(
            f"expected probabilities of the file, got numbers from {float(raw.min()):.3g} to "
            f"{float(raw.max()):.3g}; set model.file.outputs=logits"
        )


# -- what else it may be -------------------------------------------------------------------------


def _scales(deployed: FileDeployed) -> Iterator[Guess]:
    for scale in SCALES:
        if scale != deployed.contract.scale:
            yield Guess(f"model.file.scale={scale}", replace(deployed.contract, scale=scale))


def _orders(deployed: FileDeployed, few: Split, classes: int) -> Iterator[Guess]:
    if order := _order(deployed, few, classes):
        setting = f"model.file.order={_list(order)}"
        yield Guess(setting, replace(deployed.contract, order=order))


def _others(deployed: FileDeployed, data: Data) -> Iterator[Guess]:
    contract = deployed.contract
    for layout in LAYOUTS:
        guess = replace(contract, layout=layout)
        if layout != contract.layout and deployed.fits(guess, data.shape):
            yield Guess(f"model.file.layout={layout}", guess)
    for scale in SCALES if contract.mean else ():
        plain = replace(contract, scale=scale, mean=(), std=())
        other = "" if scale == contract.scale else f"model.file.scale={scale} "
        yield Guess(f"{other}model.file.mean=[] model.file.std=[]", plain)
    for mean, std in (IMAGENET, CENTRED, _moments(data.train if data.has_training else data.test)):
        if len(mean) in (1, data.shape[0]):
            guess = replace(contract, scale="unit", mean=mean, std=std)
            yield Guess(
                f"model.file.scale=unit model.file.mean={_list(mean)} model.file.std={_list(std)}",
                guess,
            )


def _moments(split: Split) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel of a data set, in [0,1] pixels."""
    pixels = split.images[:5000].float().transpose(0, 1).flatten(1) / 255
    mean, std = pixels.mean(1), pixels.std(1).clamp_min(1e-3)
    first, second = ([round(one, 3) for one in found.tolist()] for found in (mean, std))
    return tuple(first), tuple(second)


def _order(deployed: FileDeployed, few: Split, classes: int) -> tuple[int, ...]:
    """The position that the file's answers name most often for each class; empty if not one each.

    Seen on half of the images, so that the rest can judge it.
    """
    half = few.take(torch.randperm(len(few), generator=generator(0))[: len(few) // 2])
    named = deployed.answers(half.float_images()).argmax(1)
    found = [named[half.labels == label] for label in range(classes)]
    if any(len(one) == 0 for one in found):
        return ()
    order = tuple(int(one.mode().values) for one in found)
    return order if len(set(order)) == classes else ()


def _list(numbers: tuple[float, ...] | tuple[int, ...]) -> str:
    return "[" + ",".join(f"{one:g}" for one in numbers) + "]"
