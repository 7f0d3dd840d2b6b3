"""Post-training quantization: ranges of every tensor from a sample of images.

Not torch's observers: they choose from histograms, and other ranges move published numbers.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from robench.base.errors import UserError
from robench.integer.fakequant import ActivationQuant
from robench.integer.trace import prepare_qat
from robench.integer.twin import Twin

Method = Literal["minmax", "percentile", "mse"]
BATCH = 100
SAMPLES = 2**16
"""Values kept of each tensor and batch."""
PERCENTILE = 0.9999


def quantize(
    model: nn.Module,
    images: Tensor,
    method: Method = "mse",
    *,
    input_range: tuple[int, int] = (0, 255),
) -> Twin:
    """The fake-quantised twin of a trained float model, in evaluation mode.

    images: float (N, C, H, W) in [0,1]. Raises: UserError, as `prepare_qat` and `calibrate`.
    """
    channels, height, width = images.shape[1:]
    twin = prepare_qat(model, (channels, height, width), input_range=input_range)
    calibrate(twin, images, method)
    return twin


@torch.no_grad()
def calibrate(twin: Twin, images: Tensor, method: Method = "mse") -> None:
    """Set all ranges of a twin from images; batch norm folded, activations not rounded meanwhile.

    Leaves the twin in evaluation mode. `minmax` covers all values, `percentile` 99.99 % of a
    regular sample of them, `mse` is the range with the least mean squared error on that sample.
    Raises: UserError for another method or no images.
    """
    if method not in get_args(Method) or not len(images):
        raise UserError(
            f"expected one of {get_args(Method)} and images, got {method!r}, {len(images)}"
        )
    twin.eval()
    quantizers = twin.quantizers()
    seen: list[list[Tensor]] = [[] for _ in quantizers]
    for batch in torch.split(images, BATCH):
        for quantizer in quantizers:
            quantizer.samples = []
        twin(batch)
        for quantizer, sample in zip(quantizers, seen, strict=True):
            assert quantizer.samples is not None
            sample.extend(_thinned(values) for values in quantizer.samples)
            quantizer.samples = None
    for quantizer, sample in zip(quantizers, seen, strict=True):
        quantizer.range.copy_(_range(torch.cat(sample), method))


def _thinned(values: Tensor) -> Tensor:
    """Extremes first, then a regular sample."""
    flat = values.flatten()
    return torch.cat([torch.stack(torch.aminmax(flat)), flat[:: -(-len(flat) // SAMPLES)]])


def _range(sample: Tensor, method: Method) -> Tensor:
    low, high = (float(v) for v in torch.aminmax(sample))
    if method == "minmax":
        return torch.tensor([low, high])
    if method == "percentile":
        ordered = sample.sort().values
        last = len(ordered) - 1
        return ordered[[round(last * (1 - PERCENTILE)), round(last * PERCENTILE)]]
    shares = [1 - step / 50 for step in range(40)]
    errors = [_squared_error(sample, share * low, share * high) for share in shares]
    share = shares[min(range(len(shares)), key=errors.__getitem__)]
    return torch.tensor([share * low, share * high])


def _squared_error(sample: Tensor, low: float, high: float) -> float:
    quantizer = ActivationQuant().eval()
    quantizer.range.copy_(torch.tensor([low, high]))
    return float((quantizer(sample) - sample).square().mean())
