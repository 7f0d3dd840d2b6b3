"""The twin: a fake-quantised network, wired like the integer program it becomes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from robench.integer.fakequant import (
    ActivationQuant,
    InputQuant,
    QuantAdd,
    QuantAffine,
    QuantAvgPool,
    QuantConv,
    QuantLinear,
)

Layer = (
    InputQuant
    | QuantConv
    | QuantLinear
    | QuantAdd
    | QuantAffine
    | QuantAvgPool
    | nn.MaxPool2d
    | nn.Flatten
)
"""What becomes one operation of the program each."""
Dropout = nn.Dropout | nn.Dropout2d


class Twin(nn.Module):
    """Float images (N, C, H, W) in [0,1] to logits (N, classes), every tensor quantised.

    `wiring[i]` lists the layers whose outputs layer i reads; layer 0 reads the images. Made by
    `prepare_qat` or `quantize`; train it like any module (batch norms are live in training and
    folded in evaluation), attack it in evaluation mode (gradients pass straight through rounding,
    and are zero where a value saturates).
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        layers: Sequence[Layer | Dropout],
        wiring: list[tuple[int, ...]],
    ) -> None:
        super().__init__()
        self.shape = shape
        self.layers = nn.ModuleList(layers)
        self.wiring = wiring
        self.last_reader = {s: i for i, sources in enumerate(wiring) for s in sources}

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes)."""
        values: dict[int, Tensor] = {}
        for index, (layer, sources) in enumerate(zip(self.layers, self.wiring, strict=True)):
            inputs = [values[s] for s in sources] or [images]
            values[index] = layer(*inputs)
            for source in sources:
                if self.last_reader[source] == index:
                    values.pop(source, None)
        return values[len(self.layers) - 1]

    @property
    def input(self) -> InputQuant:
        """The input map."""
        first = self.layers[0]
        assert isinstance(first, InputQuant)
        return first

    def quantizers(self) -> list[ActivationQuant]:
        """All activation quantisers, in the order of execution."""
        return [m for m in self.modules() if isinstance(m, ActivationQuant)]
