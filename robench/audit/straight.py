"""A twin whose dead ends let gradients through: the backward pass approximated, the forward exact.

Backward pass differentiable approximation (Athalye et al., 2018, section 4), found without knowing
the model: functions whose derivative is zero, vanishes or is somebody's own are replaced in the
backward pass (`surrogates.py`), and a layer that cuts the graph is bridged by the identity or,
where it changes the size, by resizing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robench.audit.surrogates import Replaced, through
from robench.base.seeds import seed_scope
from robench.core.system import module_device


class Straight(nn.Module):
    """Computes what a twin computes; its gradients go through rounding, saturation and cuts.

    Foreign code may refuse what stands in for its functions: then fewer are replaced, or none.
    """

    def __init__(self, twin: nn.Module) -> None:
        super().__init__()
        self.twin = twin
        # By each question: to list them takes as long as a layer.
        self._layers = list(twin.modules())
        self._boldness: int | None = None

    def forward(self, images: Tensor) -> Tensor:
        """Logits of float32 images in [0,1], shape (N, C, H, W)."""
        if self._boldness is None:
            self._boldness, _ = self._boldest(images[:1])
        return self._replaced(images, self._boldness)[0]

    def differs(self, images: Tensor) -> bool:
        """Whether anything stands in the gradient's way in this twin, by forward passes alone."""
        first = images[:1].to(module_device(self.twin))
        self._boldness, changed = self._boldest(first)
        return changed

    def _boldest(self, images: Tensor) -> tuple[int, bool]:
        """How much can be replaced so that the twin still runs and its answer is its own; whether
        that is anything.
        """
        # Under one seed a random twin draws the same again, unless its draws are out of reach.
        with torch.no_grad():
            with seed_scope(0):
                wanted = self.twin(images)
            with seed_scope(0):
                random = not torch.equal(wanted, self.twin(images))
        for boldness in (2, 1):
            with torch.enable_grad(), seed_scope(0):
                try:
                    leaf = images.detach().clone().requires_grad_()
                    found, changed = self._replaced(leaf, boldness)
                except Exception:  # a foreign network may raise anything
                    continue
            same = found.shape == wanted.shape and found.dtype == wanted.dtype
            if same and (random or torch.allclose(found, wanted, 1e-3, 1e-3, equal_nan=True)):
                return boldness, changed
        return 0, False

    def _replaced(self, images: Tensor, boldness: int) -> tuple[Tensor, bool]:
        if not boldness or not torch.is_grad_enabled():
            logits: Tensor = self.twin(images)
            return logits, False
        with (
            Replaced(boldness) as replaced,
            _bridged(self._layers, images, replaced),
            _opened(self._layers, replaced),
        ):
            logits = self.twin(images)
        return logits, replaced.changed


def _joined(source: Tensor, value: Tensor) -> Tensor | None:
    """The value, with a gradient to a source of about its shape; None where none fits."""
    if not value.is_floating_point():
        return None
    if source.shape == value.shape:
        return through(source, value)
    if source.numel() == value.numel():
        return through(source.reshape(value.shape), value)
    both_images = source.dim() == value.dim() == 4 and len(source) == len(value)
    if both_images and value.shape[1] % source.shape[1] == 0:
        sized = F.interpolate(source, value.shape[-2:], mode="bilinear", align_corners=False)
        return through(sized.repeat(1, value.shape[1] // source.shape[1], 1, 1), value)
    return None


@contextmanager
def _bridged(layers: list[nn.Module], images: Tensor, replaced: Replaced) -> Iterator[None]:
    """Join the graph again where a layer, or code before the first layer, has cut it."""

    def join(source: Any, value: Any) -> Tensor | None:
        cut = isinstance(value, Tensor) and isinstance(source, Tensor) and not value.requires_grad
        joined = _joined(source, value) if cut and source.requires_grad else None
        replaced.changed |= joined is not None
        return joined

    def before(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        first = args[0] if args else None
        near = isinstance(first, Tensor) and first.dim() == images.dim()
        if near and replaced.touched:
            near = first.shape == images.shape  # type: ignore[union-attr]  # a tensor, as near
        joined = join(images, first) if near else None
        replaced.touched = True
        return None if joined is None else (joined, *args[1:])

    def after(_: nn.Module, args: tuple[Any, ...], value: Any) -> Tensor | None:
        return join(args[0] if args else None, value)

    handles = [layer.register_forward_pre_hook(before) for layer in layers[1:]]
    handles += [layer.register_forward_hook(after) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _opened(layers: list[nn.Module], replaced: Replaced) -> Iterator[None]:
    """Stand in for custom functions whose `apply` a layer or its source file keeps by name."""
    files = {id(file): file for file in map(_file, layers) if file is not None}
    kept = [
        (names, name, value, door)
        for names in (*map(vars, layers), *files.values())
        for name, value in list(names.items())
        if (door := replaced.door(value)) is not None
    ]
    for names, name, _, door in kept:
        names[name] = door
    try:
        yield
    finally:
        for names, name, value, _ in kept:
            names[name] = value


def _file(layer: nn.Module) -> dict[str, Any] | None:
    """The names of the file that a layer's forward pass reads; None of torch's own layers."""
    names: dict[str, Any] | None = getattr(type(layer).forward, "__globals__", None)
    return None if names is None or str(names.get("__name__")).startswith("torch.") else names
