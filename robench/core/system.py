"""What a compressor finishes: the deployed classifier and its differentiable twin."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from torch import nn

from robench.base.errors import PluginError
from robench.base.text import reason
from robench.core.batches import ASKED, HELD, at_once, parts
from robench.core.outcomes import ABSTAIN
from robench.core.pixels import floats
from robench.core.record import AGREEMENT_EXPECTED, TwinAgreement
from robench.core.weights import require_saved, save_weights

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from robench.core.data import Split


@runtime_checkable
class Deployed(Protocol):
    """The classifier that ships: the only judge of success.

    It may also have `logits(images) -> Tensor`, `counts(...)` (votes under noise) and
    `export(folder, format)`; callers test for them. `exact = True` says that integers alone compute
    its labels, the same on every machine: they outlive another torch, thread or instruction set.
    A shipped file also has `facts: FileInfo`, and `variants() -> Mapping[str, Deployed]`, the same
    file run in other ways.
    """

    @property
    def randomised(self) -> bool:
        """Whether two calls on the same images may differ."""
        ...

    def predict(self, images: Tensor) -> Tensor:
        """Classify float32 images in [0,1], shape (N, C, H, W): int64 labels (N,) or ABSTAIN."""
        ...

    def nbytes(self) -> int:
        """Bytes of the model as it ships."""
        ...

    def save(self, folder: Path) -> None:
        """Write the model as it ships into a folder."""
        ...


@dataclass(frozen=True)
class System:
    """A deployed classifier and the module with gradients that computes the same function.

    `twin` maps float32 images in [0,1] to logits. Attacks search on it, and succeed only on
    `deployed`.
    """

    deployed: Deployed
    twin: nn.Module
    others: Mapping[str, nn.Module] = field(default_factory=dict)
    """Further twins by name, whose gradients pass what stops the twin's own (`open_output`,
    `pass_through`): a white-box search goes on there."""
    black_box: str = ""
    """Why nothing has gradients here; the twin is a `BlackBox` then. Empty where it has some."""


class BlackBox(nn.Module):
    """The answers of a deployed model of which no twin can be made, with no gradient."""

    def __init__(self, deployed: Deployed) -> None:
        super().__init__()
        self.deployed = deployed

    def forward(self, images: Tensor) -> Tensor:
        """The deployed model's logits of float32 images in [0,1]; they are no path for gradients.

        Raises PluginError where it gives none.
        """
        logits = getattr(self.deployed, "logits", None)
        if logits is None:
            raise PluginError("expected logits of the deployed model, got labels alone")
        found: Tensor = logits(images.detach().cpu())
        return found

    def __deepcopy__(self, memo: dict[int, object]) -> BlackBox:
        """The same model behind another module: what runs a file cannot be copied."""
        return BlackBox(self.deployed)


class FloatDeployed:
    """A float network shipped as it is, in safetensors."""

    randomised = False

    def __init__(self, model: nn.Module, batch: int = 256) -> None:
        self.model = model.eval()
        self.batch = batch

    def logits(self, images: Tensor) -> Tensor:
        """Logits of float32 images in [0,1]: shape (N, classes)."""
        return forward(self.model, images, self.batch)

    def predict(self, images: Tensor) -> Tensor:
        """Labels of float32 images in [0,1]: int64, shape (N,)."""
        return self.logits(images).argmax(1)

    def nbytes(self) -> int:
        """Bytes of all parameters and buffers."""
        return sum(t.numel() * t.element_size() for t in self.model.state_dict().values())

    def save(self, folder: Path) -> None:
        """Write `model.safetensors` into a folder."""
        save_weights(self.model, folder / "model.safetensors")


def forward(model: nn.Module, images: Tensor, batch: int = 256) -> Tensor:
    """Run a network without gradients, `batch` images at most at a time; its output on the CPU.

    It never meets an empty batch, of which many a network's `view` makes an error.
    """
    if len(images) == 0:
        return forward(model, images.new_zeros(1, *images.shape[1:]))[:0]
    device = module_device(model)
    # Not inference mode: a network may differentiate inside, as defenses at test time do.
    with torch.no_grad():
        few = images.split(at_once(images.shape[1:], ASKED, batch))
        return torch.cat([model(part.to(device)).cpu() for part in few])


class _InFloat32(nn.Module):
    """A network of other numbers, at either end or both, asked and answering in float32."""

    def __init__(self, network: nn.Module, kind: torch.dtype) -> None:
        super().__init__()
        self.network = network
        self.kind = kind

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes), float32, of float32 images; gradients are float32, too."""
        logits: Tensor = self.network(images.to(self.kind))
        return logits.float()


def _asked_in_float32(network: nn.Module) -> nn.Module:
    """The network, at both ends float32 where its first weights are bfloat16, float64 or half."""
    tensors = (*network.parameters(), *network.buffers())
    kind = next((t.dtype for t in tensors if t.is_floating_point()), torch.float32)
    return network if kind == torch.float32 else _InFloat32(network, kind)


def answers(deployed: Deployed, images: Tensor, classes: int | None = None) -> Tensor:
    """A deployed model's labels of float32 images in [0,1], which it gets a copy of: int64 (N,).

    Raises PluginError for anything but labels in 0..classes-1, where the number is known, or
    ABSTAIN.
    """
    labels = deployed.predict(images.clone())
    good = isinstance(labels, torch.Tensor) and labels.layout == torch.strided
    if not good or labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
        got = f"{labels.dtype} {tuple(labels.shape)}" if good else type(labels).__name__
        raise PluginError(f"expected predict to give {len(images)} int64 labels, got {got}")
    found = labels.detach().to("cpu", copy=True)
    low, high = (int(found.min()), int(found.max())) if len(found) else (0, 0)
    if low < ABSTAIN or (classes is not None and high >= classes):
        most = "" if classes is None else f"..{classes - 1}"
        raise PluginError(
            f"expected predict to give labels from 0{most}, or {ABSTAIN} to abstain, got "
            f"{low}..{high}"
        )
    return found


def module_device(model: nn.Module) -> torch.device:
    """The device of a module; the CPU for one without tensors."""
    tensors = [*model.parameters(), *model.buffers()]
    return tensors[0].device if tensors else torch.device("cpu")


ANSWERS = 3
"""Answers of a randomised twin, and of what it stands for, that must be one label to compare."""
WRAPPED = 200
"""Images on which a system is compared once defenses wrapped it, at most."""


def agreement(
    system: System, test: Split, drawn: bool = False, wrapped: System | None = None
) -> TwinAgreement:
    """Compare labels and logits of twin and deployed model on test images.

    `drawn` says that the network draws at random, whatever the deployed model says; `wrapped` is
    the system after the defenses, where any wraps it. Raises PluginError for a malformed answer.
    """
    randomised, gaps, differing = drawn or system.deployed.randomised, [], 0
    for at in parts(len(test), test.images.shape[1:], HELD):
        images = test.take(at).float_images()
        twin = forward(system.twin, images)
        gaps.append(None if randomised else _gap(system, images, twin))
        differing += _differing(system, images, twin, randomised)
    equal = 1 - differing / len(test)
    after, flagged = None, equal < AGREEMENT_EXPECTED
    if wrapped is not None:
        few = floats(test.images[:: -(-len(test) // WRAPPED)])
        logits, draws = forward(wrapped.twin, few), randomised or wrapped.deployed.randomised
        after = 1 - _differing(wrapped, few, logits, draws) / len(few)
        flagged = flagged or after < AGREEMENT_EXPECTED
    gap = max((gap for gap in gaps if gap is not None), default=None)
    return TwinAgreement(
        equal_labels=equal, logit_gap=gap, n=len(test), after_deploy=after, flagged=flagged
    )


def _gap(system: System, images: Tensor, twin: Tensor) -> float | None:
    """The largest difference of two logits, where the deployed model gives any."""
    logits = getattr(system.deployed, "logits", None)
    gap = float((logits(images) - twin).abs().max()) if logits else None
    if gap is not None and not math.isfinite(gap):
        raise PluginError("expected finite logits of the finished model, got NaN or infinite ones")
    return gap


def _differing(system: System, images: Tensor, twin: Tensor, randomised: bool) -> int:
    """How many images the deployed model labels otherwise than the twin, whose logits are given.

    Of a randomised system those that both are sure of: ANSWERS of each are one label, and none is
    an abstention.
    """
    classes, mine = twin.shape[1], twin.argmax(1)
    theirs = answers(system.deployed, images, classes)
    differ = mine != theirs
    if randomised:
        differ &= theirs != ABSTAIN
        for _ in range(ANSWERS - 1):
            differ &= forward(system.twin, images).argmax(1) == mine
            differ &= answers(system.deployed, images, classes) == theirs
    return int(differ.sum())


ONE_OUTPUT = (
    "of two classes that one number z tells apart, the logits are "
    "torch.stack([torch.zeros_like(z), z], 1), with z of shape (N,) before any sigmoid"
)


def check_output(
    build: Callable[[], nn.Module],
    shape: tuple[int, ...],
    classes: int,
    device: torch.device | None = None,
) -> nn.Module:
    """Build a model, on the CPU, that is asked and answers in float32, whatever its numbers are.

    It is asked once on `device` (default the CPU), as autocast may act on one device alone. Raises
    PluginError unless it gives finite floating logits (N, classes) and leaves its images alone.
    """
    device = device or torch.device("cpu")
    built = build()
    require_saved(built)
    model = _asked_in_float32(built)
    was_training = model.training
    model.eval()
    images = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    given = images.to(device, copy=True)
    try:
        with torch.no_grad():
            logits = model.to(device)(given)
    except Exception as error:  # a foreign network may raise anything
        raise PluginError(
            f"expected a model for images of shape {tuple(shape)}, got {reason(error)[:200]}"
        ) from error
    model.to("cpu").train(was_training)
    if not torch.equal(given.cpu(), images):
        raise PluginError(
            "expected a model that leaves its images alone, got one that changes them in place; "
            "compute on a copy, such as x = x * 0.5 in place of x.mul_(0.5)"
        )
    dense = isinstance(logits, torch.Tensor) and logits.layout == torch.strided
    if not dense:
        got = logits.layout if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise PluginError(
            f"expected a dense tensor of logits of shape (2, {classes}) for 2 images, got {got}; "
            "wrap the model in a module that returns its logits alone"
        )
    if tuple(logits.shape) != (2, classes):
        advice = ONE_OUTPUT if logits.numel() == 2 else "let the model end in one output per class"
        raise PluginError(
            f"expected logits of shape (2, {classes}) for 2 images, got {tuple(logits.shape)}; "
            f"{advice}"
        )
    if not logits.is_floating_point():
        raise PluginError(
            f"expected floating logits of the model, got {logits.dtype}; return the numbers that "
            "its labels are the argmax of, as floats"
        )
    if not torch.isfinite(logits).all():
        raise PluginError("expected finite logits of the model, got NaN or infinite ones")
    return model if logits.dtype == torch.float32 else _InFloat32(model, torch.float32)
