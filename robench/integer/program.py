"""The integer program: a checked list of integer operations that *is* the deployed network."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from robench.base.errors import UserError
from robench.integer.check import infer_shapes
from robench.integer.ops import Conv, Input, Op, Shape, Weighted


@dataclass(frozen=True, eq=False)
class Program:
    """A checked list of operations; building one proves that no int32 in it can overflow.

    Raises: UserError when an operation is malformed or could overflow.
    """

    ops: tuple[Op, ...]
    shapes: tuple[Shape, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shapes", infer_shapes(self.ops))

    @property
    def input(self) -> Input:
        """The input operation."""
        first = self.ops[0]
        assert isinstance(first, Input)
        return first

    @property
    def classes(self) -> int:
        """Number of logits."""
        return self.shapes[-1][0]

    def macs(self) -> int:
        """Multiply-accumulates of one image, convolutions and fully connected layers."""
        return sum(
            op.weight.size * (shape[1] * shape[2] if isinstance(op, Conv) else 1)
            for op, shape in zip(self.ops, self.shapes, strict=True)
            if isinstance(op, Weighted)
        )

    def check_images(self, images: Tensor) -> None:
        """Refuse images that are not uint8 or int16 of shape (N, *shape of the input).

        Raises: UserError.
        """
        expected, got = self.shapes[0], tuple(images.shape[1:])
        if images.dtype not in (torch.uint8, torch.int16) or got != expected:
            raise UserError(
                f"integer program: expected uint8 or int16 images (N, {expected}), "
                f"got {images.dtype} {tuple(images.shape)}; convert them to 8-bit units"
            )
