"""Data handed over in Python, in whatever form people keep them, as robench's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from robench.base.errors import DataError
from robench.base.seeds import seed_scope
from robench.base.text import one_line, reason
from robench.core.data import Data, NoImages, Split
from robench.core.system import module_device
from robench.core.threat import UsualThreat
from robench.plugin.components import Component

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMS = (
    "(images, labels) as arrays, tensors or lists, a Dataset or DataLoader of torch, a split of "
    "Hugging Face datasets, or {'train': ..., 'test': ...} of these"
)
USUAL = UsualThreat(
    {"linf": (2 / 255, 4 / 255, 8 / 255), "l2": (0.125, 0.25, 0.5)},
    noise=0.1,
)
"""What attackers are allowed where nobody says: the same as on CIFAR-10."""
CHANNELS = (1, 3, 4)
"""Numbers of channels by which an image's axes are told apart."""
BEYOND = 0.01
"""By how much floats lie outside of [0,1] that were computed for it."""
DIM = 64
"""Whole pixels that all lie below are likelier of another scale than of dark pictures."""
MOST_CLASSES = 100_000
"""Classes of own data at most: each label below the highest has a name."""
MOST_WHOLE = 2**62
"""What a label may be before its classes are counted: int64 holds it."""
IMAGE_NAMES = ("image", "img", "pixel_values", "images")
LABEL_NAMES = ("label", "labels", "fine_label", "target")


def own_data(given: Any, network: nn.Module | None = None) -> Data:
    """Data from whatever holds images and labels: see FORMS.

    Images are uint8, or float in [0,1], which are rounded to 8 bits; of shape (N, C, H, W),
    (N, H, W, C) or (N, H, W). Labels are whole numbers from 0, and there are as many classes as
    they or the network's outputs say. Without a train split, what trains or calibrates is refused.
    Raises DataError.
    """
    if isinstance(given, Mapping) and not _is_batch(given):
        if "test" not in given or set(given) - {"train", "test"}:
            raise DataError(
                "expected a mapping with the keys train and test, or test alone, to images and "
                f"labels, got {one_line(', '.join(map(str, given)))[:80] or 'an empty one'}"
            )
        named = {name: _split(part, name) for name, part in given.items()}
        names = _class_names(given["test"])
    else:
        named, names = {"test": _split(given, "test")}, _class_names(given)
    test = named["test"]
    outputs = 0 if network is None else _outputs(network, test)
    _require_few(named, outputs)
    highest = max(int(split.labels.max()) for split in named.values())
    count = max(len(names), 1 + highest, outputs)
    more = tuple(str(label) for label in range(len(names), count))
    return Data(named.get("train", NoImages()), test, (*names, *more), USUAL)


def is_own_data(given: Any) -> bool:
    """Whether these are images and labels, or what holds them, rather than a data set's choice."""
    if isinstance(given, (Split, torch.utils.data.Dataset, torch.utils.data.DataLoader, Iterator)):
        return True
    if _is_table(given) or hasattr(given, "shape"):
        return True
    if isinstance(given, Mapping):
        # The parts of a choice are components, or mappings of options.
        parts = [part for part in given.values() if not isinstance(part, Mapping)]
        named = bool({"train", "test"} & set(given)) or any(map(_is_batch, given.values()))
        return named or any(map(is_own_data, parts))
    return isinstance(given, (tuple, list)) and bool(given) and not _are_choices(given)


def _are_choices(given: Sequence[Any]) -> bool:
    return all(isinstance(one, (str, type, Component, Data)) for one in given)


# -- forms -----------------------------------------------------------------------------------------


def _split(given: Any, name: str) -> Split:
    """The images and labels of one split."""
    if isinstance(given, Split):
        return Split(given.images.clone(), given.labels.clone())
    try:
        images, labels = _pair(given)
        pixels, classes = _array(images), _array(labels)
    except DataError:
        raise
    except Exception as error:  # foreign containers raise anything
        raise DataError(
            f"expected {name} images of one size, and labels, got {reason(error)[:200]}"
        ) from error
    return Split(_pixels(pixels, name), _labels(classes, len(pixels), name))


def _pair(given: Any) -> tuple[Any, Any]:
    """Images and labels, each a whole or a list of single ones."""
    if _is_batch(given):
        return _columns(given)
    if _is_table(given):
        image, label = _names_of(given.column_names, given.features)
        return list(given[image]), list(given[label])
    if isinstance(given, (tuple, list)) and len(given) == 2:
        if _is_whole(given):
            return given[0], given[1]
        if _array_dim(given[0]) == 1 and _array_dim(given[1]) > 1:
            raise DataError("expected (images, labels), got the labels first; swap the two")
    if isinstance(given, Iterator):
        raise DataError(
            f"expected {FORMS}; got a {type(given).__name__}, which can be read once: give a list "
            "of pairs of an image and its label"
        )
    if isinstance(given, torch.utils.data.DataLoader):
        loader = _unshuffled(given)
        batches = [_columns(batch) if isinstance(batch, Mapping) else batch for batch in loader]
        _require_pairs(batches)
        return (
            np.concatenate([_array(batch[0]) for batch in batches]),
            np.concatenate([_array(batch[1]) for batch in batches]),
        )
    if isinstance(given, torch.utils.data.Dataset) and not isinstance(given, Iterable):
        pairs = [given[index] for index in range(len(given))]  # type: ignore[arg-type]
    elif isinstance(given, Iterable) and not hasattr(given, "shape"):
        pairs = list(given)
    else:
        pairs = []
    _require_pairs(pairs)
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def _unshuffled(loader: torch.utils.data.DataLoader[Any]) -> torch.utils.data.DataLoader[Any]:
    """A loader that shuffles, in its data set's order: the same data are the same at every call."""
    if isinstance(loader.sampler, torch.utils.data.RandomSampler):
        order: Sequence[int] = range(len(loader.dataset))  # type: ignore[arg-type]
    elif isinstance(loader.sampler, torch.utils.data.SubsetRandomSampler):
        order = loader.sampler.indices
    else:
        return loader
    return torch.utils.data.DataLoader(
        loader.dataset, loader.batch_size, sampler=order, collate_fn=loader.collate_fn
    )


def _require_pairs(pairs: Sequence[Any]) -> None:
    if not pairs or not all(isinstance(one, (tuple, list)) and len(one) == 2 for one in pairs):
        raise DataError(f"expected {FORMS}; got no pairs of an image and its label")


def _is_whole(given: Sequence[Any]) -> bool:
    """Whether two things are all images and all labels, rather than two pairs of each."""
    images, labels = given
    if getattr(images, "ndim", 0) > 2:
        return True
    if _array_dim(images) == 0 or _array_dim(labels) == 0:
        return False
    return _array_dim(labels) == 1 and len(images) == len(labels) and not _is_label(images[-1])


def _is_label(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) or (hasattr(value, "ndim") and value.ndim == 0)


def _array_dim(value: Any) -> int:
    """Dimensions of an array; of a list, one if it holds numbers, else two; 0 of anything else."""
    if hasattr(value, "ndim"):
        return int(value.ndim)
    if not isinstance(value, (list, tuple)) or not value:
        return 0
    return 1 if all(_is_label(one) for one in value) else 2


def _is_batch(given: Any) -> bool:
    """Whether a mapping holds images and labels as columns."""
    return isinstance(given, Mapping) and any(name in given for name in IMAGE_NAMES)


def _columns(given: Mapping[str, Any]) -> tuple[Any, Any]:
    image, label = _names_of(list(given), {})
    return given[image], given[label]


def _is_table(given: Any) -> bool:
    """Whether it has columns as a split of Hugging Face datasets has them."""
    return hasattr(given, "column_names") and hasattr(given, "features")


def _names_of(columns: Any, features: Any) -> tuple[str, str]:
    """The columns of images and of labels: by the features' classes, else by usual names."""
    names = list(columns) if isinstance(columns, (list, tuple)) else []
    kinds = {name: type(features[name]).__name__ for name in names if name in (features or {})}
    found = []
    for kind, usual in (("Image", IMAGE_NAMES), ("ClassLabel", LABEL_NAMES)):
        told = [name for name, own in kinds.items() if own == kind]
        named = [name for name in usual if name in names]
        if not (told or named):
            raise DataError(
                f"expected a column among {', '.join(usual)}, got "
                f"{one_line(', '.join(map(str, names)))[:120] or 'none'}; give (images, labels)"
            )
        found.append((told if len(told) == 1 else named or told)[0])
    return found[0], found[1]


def _class_names(given: Any) -> tuple[str, ...]:
    """The names that a data set says its classes have, or none."""
    names: Any = getattr(given, "classes", None)
    if _is_table(given):
        label = _names_of(given.column_names, given.features)[1]
        names = getattr(given.features[label], "names", None)
    if isinstance(given, torch.utils.data.DataLoader):
        return _class_names(given.dataset)
    good = isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names)
    return tuple(names) if good else ()


def _array(value: Any) -> NDArray[Any]:
    """One array of what is an array, a tensor, or a list of these or of pictures."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().numpy()
    if isinstance(value, (list, tuple)):
        return np.stack([_array(one) for one in value])
    return np.asarray(value)


# -- pixels and labels -----------------------------------------------------------------------------


def _pixels(images: NDArray[Any], name: str) -> torch.Tensor:
    """8-bit pixels, uint8 (N, C, H, W), of images in any order of axes and either scale."""
    if len(images) == 0:
        raise DataError(f"expected at least one {name} image, got none")
    eight = _eight_bits(_channels_first(images, name), name)
    return torch.from_numpy(np.ascontiguousarray(eight))


def _channels_first(images: NDArray[Any], name: str) -> NDArray[Any]:
    if images.ndim == 3:
        return images[:, None]
    if images.ndim != 4:
        raise DataError(
            f"expected {name} images of shape (N, C, H, W), (N, H, W, C) or (N, H, W), got "
            f"{images.shape}"
        )
    first, last = images.shape[1] in CHANNELS, images.shape[3] in CHANNELS
    if first == last:
        raise DataError(
            f"expected 1, 3 or 4 channels either first or last in {name} images, got "
            f"{images.shape}: which axis are they? Say it by robench.Split(images, labels), with "
            "uint8 images (N, C, H, W) and int64 labels"
        )
    return images if first else images.transpose(0, 3, 1, 2)


def _eight_bits(images: NDArray[Any], name: str) -> NDArray[np.uint8]:
    low, high = images.min(), images.max()
    shown = f"{images.dtype} from {low!s} to {high!s}"
    if images.dtype.kind in "ui":
        if low < 0 or high > 255:
            raise DataError(f"expected whole pixels of {name} images in 0..255, got {shown}")
        if high == 1:
            raise DataError(
                f"expected whole pixels of {name} images in 0..255, got {shown}; give the floats "
                "before they were made whole"
            )
        if 1 < high < DIM:
            raise DataError(
                f"expected whole pixels of {name} images in 0..255, got {shown}; bytes go to 255: "
                f"give images / {high}, or, where all are as dark as that, "
                "robench.Split(images, labels), with uint8 images (N, C, H, W)"
            )
        return images.astype(np.uint8)
    if images.dtype.kind != "f" or not np.isfinite([low, high]).all():
        raise DataError(f"expected {name} images of uint8 or finite floats, got {shown}")
    if low < 0 or high > 1:
        whole = low >= 0 and 16 < high <= 255
        near = low >= -BEYOND and high <= 1 + BEYOND
        advice = "divide by 255" if whole else "let the network normalise, not the data"
        advice = "give images.clip(0, 1)" if near else advice
        raise DataError(f"expected floats in [0,1] in {name} images, got {shown}; {advice}")
    scaled = images.astype(np.float32) * 255
    return scaled.round().astype(np.uint8)


def _labels(labels: NDArray[Any], count: int, name: str) -> torch.Tensor:
    whole = labels.dtype.kind in "ui" or (
        labels.dtype.kind == "f" and bool((labels == labels.round()).all())
    )
    if labels.shape != (count,) or not whole or labels.min() < 0 or labels.max() > MOST_WHOLE:
        numbers = labels.dtype.kind in "iuf" and labels.size > 0
        ends = f" from {labels.min()} to {labels.max()}" if numbers else ""
        raise DataError(
            f"expected {count} {name} labels, whole numbers from 0, got {labels.dtype} of shape "
            f"{labels.shape}{ends}" + _flat(labels)
        )
    return torch.from_numpy(labels.astype(np.int64))


def _flat(labels: NDArray[Any]) -> str:
    """How names, and labels of two axes, are made numbers of one, as advice; else nothing."""
    if labels.dtype.kind in "UO":
        return "; number the names: numpy.unique(labels, return_inverse=True)[1]"
    if labels.ndim != 2:
        return ""
    if labels.shape[1] == 1:
        return "; a column of labels: give labels[:, 0]"
    return "; one-hot labels: give labels.argmax(1)"


def _require_few(named: Mapping[str, Split], outputs: int) -> None:
    """Raise DataError for labels that have no output, or of too many classes; 0: not known."""
    labels = torch.cat([split.labels for split in named.values()])
    low, high = int(labels.min()), int(labels.max())
    if outputs and high >= outputs:
        from_one = (low, high) == (1, outputs)
        raise DataError(
            f"expected labels from 0 to {outputs - 1}, one for each output of the network, got "
            f"{low} to {high}" + (": give labels - 1" if from_one else "")
        )
    if high >= MOST_CLASSES:
        raise DataError(f"expected labels below {MOST_CLASSES:,}, got {low} to {high}")


def _outputs(network: nn.Module, test: Split) -> int:
    """How many classes the network answers with; 0 where it does not answer two images, or by one.

    What is wrong with its answer is said where every network is asked, once it is built.
    """
    try:
        with seed_scope(0), torch.no_grad():
            asked = deepcopy(network).float().eval()
            images = test.take(torch.arange(min(2, len(test)))).float_images()
            logits = asked(images.to(module_device(asked)))
    except Exception:  # a foreign network may raise anything
        return 0
    good = isinstance(logits, torch.Tensor) and logits.dim() == 2 and logits.shape[1] > 1
    return int(logits.shape[1]) if good else 0
