"""Operator norms of layers' weights: p = 1, 2, inf, of matrices and of circular convolutions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

P = ("1", "2", "inf")


def matrix_norms(weights: Tensor) -> dict[str, float]:
    """p-norms of weights (out, ...) as a matrix (out, rest): largest column sum, singular value,
    row sum."""
    matrix = weights.detach().double().flatten(1)
    return {
        "1": float(matrix.abs().sum(0).max()),
        "2": spectral_norm(matrix[None]),
        "inf": float(matrix.abs().sum(1).max()),
    }


def convolution_norms(kernel: Tensor, layer: nn.Conv2d, size: tuple[int, ...]) -> dict[str, float]:
    """p-norms of a convolution as the linear map of images (in, *size), the border circular.

    `kernel` has the layer's shape (out, in / groups, h, w); stride, dilation and groups are the
    layer's. A side that the stride does not divide is taken a little larger.
    """
    stride = (int(layer.stride[0]), int(layer.stride[1]))
    taps = circular_kernel(kernel.detach().double(), layer, size)
    # Column sums: an input pixel meets only the taps of its own phase of the stride.
    phases = taps.abs().unfold(2, stride[0], stride[0]).unfold(3, stride[1], stride[1])
    return {
        "1": float(phases.sum((0, 2, 3)).max()),
        "2": spectral_norm(_blocks(taps, stride)),
        "inf": float(taps.abs().sum((1, 2, 3)).max()),
    }


def circular_kernel(kernel: Tensor, layer: nn.Conv2d, size: tuple[int, ...]) -> Tensor:
    """The kernel without groups, its taps laid on a torus of the image's size: (out, in, H, W).

    Taps beyond the border wrap around and add up.
    """
    out, _, height, width = kernel.shape
    sides = [-(-s // step) * step for s, step in zip(size, layer.stride, strict=True)]
    grid = kernel.new_zeros(out, layer.in_channels, *sides)
    inputs, outputs = layer.in_channels // layer.groups, out // layer.groups
    for group in range(layer.groups):
        rows = slice(group * outputs, (group + 1) * outputs)
        columns = slice(group * inputs, (group + 1) * inputs)
        for i in range(height):
            for j in range(width):
                at = (
                    (i * int(layer.dilation[0])) % sides[0],
                    (j * int(layer.dilation[1])) % sides[1],
                )
                grid[rows, columns, at[0], at[1]] += kernel[rows, :, i, j]
    return grid


def _blocks(taps: Tensor, stride: tuple[int, int]) -> Tensor:
    """The operator's blocks in the frequency domain: (frequencies, out, in * stride^2).

    Sedghi, Gupta, Long (2019) for stride 1; a stride folds the frequencies that alias together.
    """
    out, inputs, height, width = taps.shape
    spectrum = torch.fft.fft2(taps) / (stride[0] * stride[1]) ** 0.5
    folded = spectrum.view(
        out, inputs, stride[0], height // stride[0], stride[1], width // stride[1]
    )
    blocks: Tensor = folded.permute(3, 5, 0, 1, 2, 4).reshape(
        -1, out, inputs * stride[0] * stride[1]
    )
    return blocks


def spectral_norm(matrices: Tensor) -> float:
    """Largest singular value of a batch of real or complex matrices (B, m, n)."""
    return float(torch.linalg.matrix_norm(matrices, ord=2).max())
