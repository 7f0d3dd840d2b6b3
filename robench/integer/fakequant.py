"""Fake quantization with straight-through gradients: the modules of the trainable twin.

Weights: symmetric s8 per output channel, after folding. Because that grid scales with its channel,
quantising the raw kernel under a live batch norm and quantising the folded kernel give the same
network; folding at the end therefore changes nothing. Activations: u8 per tensor; ranges are moving
averages while training and stand still in evaluation. Not torch's own fake quantization: here ReLU
is part of the saturation, and the gradient passes half a step beyond the ends.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robench.base.errors import UserError

MOMENTUM = 0.05
MIN_RANGE = 1e-3
"""No range is smaller, so that a dead tensor still has a scale that fits the fixed point."""


class _Quantize(torch.autograd.Function):
    """Round onto scale * integer, the integer in [low, high]; gradient 1 inside, else 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float, low: int, high: int, relu: bool) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bounds = (0.0 if relu else (low - 0.5) * scale, (high + 0.5) * scale)
        return x.mul(1.0 / scale).round_().clamp_(low, high).mul_(scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        grad = torch.ops.aten.hardtanh_backward(grads[0], x, *ctx.bounds)
        return grad, None, None, None, None


class ActivationQuant(nn.Module):
    """u8 fake quantization of one tensor; with `relu`, the ReLU is part of the saturation."""

    range: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.relu = False
        self.register_buffer("range", torch.full((2,), float("nan")))
        self.samples: list[Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Quantised values, same shape; records instead while `samples` is a list (calibration)."""
        if self.samples is not None:
            x = x.relu() if self.relu else x
            self.samples.append(x.detach())
            return x
        if self.training:
            self._observe(x.detach())
        elif self.range[0].isnan():
            # Before the first training step: adversarial training searches in evaluation mode.
            return x.relu() if self.relu else x
        scale, zero_point = self.scale_and_zero_point()
        out: Tensor = _Quantize.apply(x, scale, -zero_point, 255 - zero_point, self.relu)
        return out

    def _observe(self, x: Tensor) -> None:
        seen = torch.stack((x.new_zeros(()), x.amax()) if self.relu else torch.aminmax(x)).float()
        if self.range.isnan().any():
            self.range.copy_(seen)
        else:
            self.range.lerp_(seen, MOMENTUM)

    def scale_and_zero_point(self) -> tuple[float, int]:
        """Real size of one code, and the code of real zero (0 after a ReLU).

        Raises: UserError when no range was ever observed.
        """
        low, high = self.range.tolist()
        if low != low or high != high:
            raise UserError(
                "fake quantization: expected observed ranges, got none; "
                "train the network or calibrate it"
            )
        low, high = (0.0 if self.relu else min(low, 0.0)), max(high, 0.0)
        scale = max(high - low, MIN_RANGE) / 255
        return scale, min(255, round(-low / scale))


class InputQuant(nn.Module):
    """Pixels in [0,1], rounded and saturated in 8-bit units, onto 256 codes; minus the mean.

    The mean is moved to the nearest code, so that the zero around a padded image is a code as well.
    The standard deviation is folded into the first convolution.
    """

    mean_code: Tensor

    def __init__(self, low: int, high: int, mean: Tensor) -> None:
        super().__init__()
        self.low, self.high = low, high
        self.scale = (high - low) / 255
        code = ((mean.double() * 255 - low) / self.scale).round().clamp(0, 255)
        self.register_buffer("mean_code", code.float()[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        """Float images (N, C, H, W) in [0,1] to centred, quantised values in the same unit."""
        pixels: Tensor = _Quantize.apply(images, 1 / 255, self.low, self.high, False)
        if (self.low, self.high) == (0, 255):
            return pixels - self.mean_code / 255
        codes: Tensor = _Quantize.apply(pixels - self.low / 255, self.scale / 255, 0, 255, False)
        return codes - self.mean_code * (self.scale / 255)


class _Weighted(nn.Module):
    """Shared by convolution and linear layer: folding, and the s8 kernel with its scales."""

    weight: Tensor
    bias: Tensor | None
    input_scale: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        if isinstance(weight, nn.Parameter):
            self.weight = weight
        else:  # a constant (the copying shortcut): kept and moved with the module, never trained
            self.register_buffer("weight", weight)
        self.bias = bias
        self.norm: nn.BatchNorm2d | nn.BatchNorm1d | None = None
        self.register_buffer("input_scale", torch.ones(weight.shape[1]))

    def quantized_kernel(self) -> tuple[Tensor, Tensor]:
        """Codes -127..127 as floats (out, in, ...), real scales (out,); before batch norm."""
        kernel = self.weight * self.input_scale.view(1, -1, *[1] * (self.weight.dim() - 2))
        scale = kernel.detach().abs().flatten(1).amax(1).clamp(min=1e-12) / 127
        codes = kernel / scale.view(-1, *[1] * (kernel.dim() - 1))
        return codes + (codes.round() - codes).detach(), scale

    def folded(self) -> tuple[Tensor, Tensor]:
        """Gain (out,) and offset (out,) after the kernel: batch norm as it runs, or the bias."""
        bias = self.weight.new_zeros(len(self.weight)) if self.bias is None else self.bias
        if self.norm is None:
            return torch.ones_like(bias), bias
        gain, offset = norm_as_affine(self.norm)
        return gain, offset + bias * gain

    def effective(self) -> tuple[Tensor, Tensor | None]:
        """Kernel and bias as applied: batch norm folded in, but live while training."""
        codes, scale = self.quantized_kernel()
        if self.norm is not None and self.training:
            return codes * scale.view(-1, *[1] * (codes.dim() - 1)), self.bias
        gain, offset = self.folded()
        return codes * (scale * gain).view(-1, *[1] * (codes.dim() - 1)), offset

    def normalise(self, x: Tensor) -> Tensor:
        """Live batch norm, in training only."""
        return self.norm(x) if self.norm is not None and self.training else x


class QuantConv(_Weighted):
    """Convolution, batch norm and ReLU as one quantised operation."""

    def __init__(self, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> None:
        super().__init__(weight, bias)
        self.stride, self.padding = stride, padding
        self.quant = ActivationQuant()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, out, H', W')."""
        kernel, bias = self.effective()
        y = F.conv2d(x, kernel, bias, self.stride, self.padding)
        if not self.training:
            # A grey image has no channels to put last: its convolution would answer in the other
            # layout, and everything after it mix the two. The numbers are the same.
            y = y.contiguous(memory_format=torch.channels_last)
        out: Tensor = self.quant(self.normalise(y))
        return out


class QuantLinear(_Weighted):
    """Fully connected layer and ReLU; without quantiser it gives the logits."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__(weight, bias)
        self.quant: ActivationQuant | None = ActivationQuant()

    def forward(self, x: Tensor) -> Tensor:
        """(N, in) to (N, out)."""
        y = self.normalise(F.linear(x, *self.effective()))
        return y if self.quant is None else self.quant(y)


class QuantAdd(nn.Module):
    """Residual sum and ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.quant = ActivationQuant()

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Two tensors of one shape."""
        out: Tensor = self.quant(a + b)
        return out


class QuantAffine(nn.Module):
    """Batch norm (or nothing) and ReLU where no convolution can take them in."""

    def __init__(self, norm: nn.BatchNorm2d | nn.BatchNorm1d | None, channels: int) -> None:
        super().__init__()
        self.norm, self.channels = norm, channels
        self.quant = ActivationQuant()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        out: Tensor = self.quant(x if self.norm is None else self.norm(x))
        return out


class QuantAvgPool(nn.Module):
    """Average over kernel_h x kernel_w windows."""

    def __init__(self, kernel: tuple[int, int], stride: int) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.quant = ActivationQuant()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H', W')."""
        out: Tensor = self.quant(F.avg_pool2d(x, self.kernel, self.stride))
        return out


def norm_as_affine(norm: nn.BatchNorm2d | nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    """Gain and offset (channels,) of a batch norm with its running statistics."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    gain = (norm.running_var + norm.eps).rsqrt()
    gain = gain if norm.weight is None else gain * norm.weight
    offset = -norm.running_mean * gain
    return gain, offset if norm.bias is None else offset + norm.bias
