"""The twins of a file: what attacks search on, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import Tensor, nn

from robench.base.text import one_line
from robench.core.session import Port
from robench.graph import (
    Form,
    Graph,
    GraphTwin,
    Kind,
    UnknownOperator,
    output_quantisers,
    read,
    weight_bits,
)
from robench.graph.table import Quantise, Softmax
from robench.shipped.contract import Contract, arranged

KINDS: dict[str, Kind] = {".onnx": "onnx", ".tflite": "litert", ".pt2": "torch"}
"""By a file's ending, the reader that makes a table of it."""


@dataclass(frozen=True)
class Twins:
    """What a file's operators give."""

    faithful: nn.Module | None = None
    others: Mapping[str, nn.Module] = field(default_factory=dict)
    black_box: str = ""
    """Why there is no twin with gradients."""
    bits: int | None = None
    """Of the file's widest weight, where it was read."""


class FileTwin(nn.Module):
    """A file's table in torch, from images in [0,1] to logits."""

    def __init__(self, graph: Graph, form: Form, contract: Contract) -> None:
        super().__init__()
        if contract.outputs == "probabilities":
            graph, contract = _before_softmax(graph, form, contract)
        self.network = GraphTwin(graph, form)
        self.contract = contract

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of float32 images in [0,1], shape (N, C, H, W)."""
        return self.contract.logits(self.network(self.contract.fed(images)))


def twins(
    path: Path, contract: Contract, source: Port, target: Port, shape: tuple[int, int, int]
) -> Twins:
    """The twins of a file from one port to another; none where it has unknown operators.

    Raises UnreadableFile for a file that is broken or unsafe.
    """
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        return Twins(black_box=f"no reader of robench's knows files that end in {path.suffix}")
    try:
        ports = {"input_name": source.name, "output_name": target.name}
        graph = read(path, kind, **ports, image=arranged(shape, contract.layout))
    except UnknownOperator as unknown:
        names = ", ".join(unknown.operators)
        return Twins(black_box=one_line(f"robench does not know its operators {names}"))
    forms: list[Form] = ["open_output"] if output_quantisers(graph) else []
    if any(isinstance(operator, Quantise) for operator in graph.operators):
        forms.append("pass_through")
    others: dict[str, nn.Module] = {form: FileTwin(graph, form, contract) for form in forms}
    return Twins(FileTwin(graph, "faithful", contract), others, bits=weight_bits(graph))


def _before_softmax(graph: Graph, form: Form, contract: Contract) -> tuple[Graph, Contract]:
    """The graph up to its last softmax, whose saturation would hide gradients, where it ends there.

    With the output's quantiser left open, what stands between is left out, too.
    """
    makers = {operator.output: operator for operator in graph.operators}
    last = makers.get(graph.output.name)
    if form == "open_output" and isinstance(last, Quantise):
        last = makers.get(last.inputs[0])
    if not isinstance(last, Softmax) or last.log:
        return graph, contract
    kept = graph.operators[: graph.operators.index(last)]
    port = replace(graph.output, name=last.inputs[0], scale=None, zero_point=None)
    return replace(graph, output=port, operators=kept), replace(contract, outputs="logits")
