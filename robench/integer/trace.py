"""From a float model to its twin: torch.fx traces it, and each node becomes or joins a layer.

Batch norm and ReLU join the convolution, linear layer or sum before them when nobody else reads it;
a normalisation of the images, (x - mean) / std, joins the input and the first convolution; the
zero-padded shortcut of CIFAR ResNets (strided slice, then channels padded) becomes a 1x1
convolution.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from robench.base.errors import UserError
from robench.base.text import one_line
from robench.integer.fakequant import (
    InputQuant,
    QuantAdd,
    QuantAffine,
    QuantAvgPool,
    QuantConv,
    QuantLinear,
)
from robench.integer.twin import Dropout, Layer, Twin

ADDS = {operator.add, operator.iadd, torch.add, "add", "add_"}
SUBTRACTIONS = {operator.sub, torch.sub, "sub"}
DIVISIONS = {operator.truediv, torch.div, "div"}
RELUS = {F.relu, torch.relu, "relu", "relu_"}
FLATTENS = {torch.flatten, torch.reshape, "flatten", "view", "reshape"}
MEANS = {torch.mean, "mean"}
KNOWN = (
    nn.Conv2d,
    nn.Linear,
    nn.BatchNorm2d,
    nn.BatchNorm1d,
    nn.ReLU,
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.Flatten,
    nn.Dropout,
    nn.Dropout2d,
    nn.Identity,
)
"""Layers that `_Builder` turns into operations."""
HINT = "change the model, or use compressor=ptq, which takes any network"
FOREIGN = {
    F.scaled_dot_product_attention: "attention",
    F.multi_head_attention_forward: "attention",
    F.layer_norm: "layer_norm",
    F.group_norm: "group_norm",
    F.gelu: "gelu",
    F.silu: "silu",
    F.softmax: "softmax",
    torch.softmax: "softmax",
    torch.matmul: "matmul",
    torch.bmm: "matmul",
    operator.matmul: "matmul",
}
"""Functions that transformers and other families need and no integer program has."""
Pool = TypeVar("Pool", nn.MaxPool2d, nn.AvgPool2d)


def prepare_qat(
    model: nn.Module, shape: tuple[int, int, int], *, input_range: tuple[int, int] = (0, 255)
) -> Twin:
    """The trainable, fake-quantised twin of a float model; the model itself is left alone.

    shape: (C, H, W) of an image. input_range: what the input map covers, in 8-bit units; pixels
    plus noise beyond it saturate. Raises: UserError for a layer that the integer program does not
    know.
    """
    model = copy.deepcopy(model)
    low, high = input_range
    if not -(2**15) <= low < high < 2**15:
        raise UserError(
            f"expected an input range of two increasing int16 values, got {input_range}; "
            "give it in 8-bit units"
        )
    return _Builder(model, shape, low, high).build()


class _Shapes(fx.Interpreter):
    """Runs the model once and keeps each node's value: shapes, and sizes used as arguments."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph, garbage_collect_values=False)
        self.values: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        """The node's value, kept."""
        self.values[n] = super().run_node(n)
        return self.values[n]


class _Builder:
    """One walk over the traced graph; `layer_of` maps each node to the layer that computes it."""

    def __init__(self, model: nn.Module, shape: tuple[int, int, int], low: int, high: int) -> None:
        self.shape, self.low, self.high = shape, low, high
        self.graph = _traced(model)
        self.values = _node_values(self.graph, shape)
        self.layers: list[Layer | Dropout] = [InputQuant(low, high, torch.zeros(shape[0]))]
        self.wiring: list[tuple[int, ...]] = [()]
        self.layer_of: dict[fx.Node, int] = {}
        self.mean, self.std = torch.zeros(shape[0]), torch.ones(shape[0])

    def build(self) -> Twin:
        """Walk, then give the input its normalisation and the last layer its logits."""
        for node in self.graph.graph.nodes:
            self._visit(node)
        self.layers[0] = InputQuant(self.low, self.high, self.mean)
        for index, sources in enumerate(self.wiring):
            if 0 in sources:
                self._fold_std(self.layers[index])
        last = self.layers[-1]
        if not isinstance(last, QuantLinear) or (last.quant is not None and last.quant.relu):
            raise _unknown("a last layer that is linear", last)
        last.quant = None
        return Twin(self.shape, self.layers, self.wiring)

    def _visit(self, node: fx.Node) -> None:
        if node.op == "placeholder":
            self.layer_of[node] = 0
        elif node.op == "output":
            if self.layer_of[_first(node)] != len(self.layers) - 1:
                raise _unknown("the last layer's output as the model's output", node)
        elif node.op == "call_module":
            self._module(node, self.graph.get_submodule(str(node.target)))
        elif isinstance(self.values[node], Tensor) and node.op != "get_attr":
            self._function(node)

    def _module(self, node: fx.Node, module: nn.Module) -> None:
        match module:
            case nn.Conv2d():
                self._append(node, _conv(module))
            case nn.Linear():
                self._append(node, QuantLinear(module.weight, module.bias))
            case nn.BatchNorm2d() | nn.BatchNorm1d():
                self._norm(node, module)
            case nn.ReLU():
                self._relu(node)
            case nn.MaxPool2d():
                self._max_pool(node, module.kernel_size, module.stride, module.padding)
            case nn.AvgPool2d():
                self._avg_pool(node, module.kernel_size, module.stride, module.padding)
            case nn.AdaptiveAvgPool2d():
                self._global_pool(node)
            case nn.Flatten():
                self._flatten(node)
            case nn.Dropout() | nn.Dropout2d():
                self._append(node, module)
            case nn.Identity():
                self.layer_of[node] = self.layer_of[_first(node)]

    def _function(self, node: fx.Node) -> None:
        target = node.target
        if target in ADDS:
            self._append(node, QuantAdd())
        elif target in RELUS:
            self._relu(node)
        elif target in SUBTRACTIONS and self._is_input(node):
            self.mean = self.mean + self._constant(node) * self.std
        elif target in DIVISIONS and self._is_input(node):
            self.std = self.std * self._constant(node)
        elif target in FLATTENS:
            self._flatten(node)
        elif target in MEANS or target is F.adaptive_avg_pool2d:
            self._global_pool(node)
        elif target is F.max_pool2d:
            self._max_pool(node, *self._arguments(node, kernel_size=None, stride=None, padding=0))
        elif target is F.avg_pool2d:
            self._avg_pool(node, *self._arguments(node, kernel_size=None, stride=None, padding=0))
        elif target is F.dropout:
            (rate,) = self._arguments(node, p=0.5)
            self._append(node, nn.Dropout(rate))
        elif target is operator.getitem:
            self._slice(node)
        elif target is F.pad:
            self._pad_channels(node)
        else:
            raise _unknown("an operation the integer program knows", target)

    def _append(self, node: fx.Node, layer: Layer | Dropout) -> None:
        sources = tuple(self.layer_of[a] for a in node.all_input_nodes if a in self.layer_of)
        if isinstance(layer, QuantAdd) and len(sources) == 1:
            sources *= 2
        self.layers.append(layer)
        self.wiring.append(sources)
        self.layer_of[node] = len(self.layers) - 1

    def _joins(self, node: fx.Node, kinds: type | tuple[type, ...]) -> Any:
        """The layer before, if it is of these kinds, still without ReLU, with no other reader."""
        before = _first(node)
        layer: Any = self.layers[self.layer_of[before]]
        if len(before.users) != 1 or not isinstance(layer, kinds):
            return None
        joined: Any = layer
        if joined.quant.relu:
            return None
        self.layer_of[node] = self.layer_of[before]
        return joined

    def _norm(self, node: fx.Node, norm: nn.BatchNorm2d | nn.BatchNorm1d) -> None:
        layer = self._joins(node, (QuantConv, QuantLinear))
        if layer is None:
            self._append(node, QuantAffine(norm, norm.num_features))
        elif layer.norm is None:
            layer.norm = norm
        else:
            raise _unknown("one batch norm after a layer", norm)

    def _relu(self, node: fx.Node) -> None:
        layer = self._joins(node, (QuantConv, QuantLinear, QuantAdd, QuantAffine))
        if layer is None:
            layer = QuantAffine(None, self.values[node].shape[1])
            self._append(node, layer)
        layer.quant.relu = True

    def _flatten(self, node: fx.Node) -> None:
        before, after = self.values[_first(node)], self.values[node]
        if after.shape != before.flatten(1).shape:
            raise _unknown("a flattening to (N, features)", node)
        self._append(node, nn.Flatten())

    def _global_pool(self, node: fx.Node) -> None:
        before, after = self.values[_first(node)], self.values[node]
        if after.shape[:2].numel() != after.numel():
            raise _unknown("an average over all pixels", node)
        self._append(node, QuantAvgPool((before.shape[2], before.shape[3]), 1))
        if after.dim() == 2:
            self.layers.append(nn.Flatten())
            self.wiring.append((len(self.layers) - 2,))
            self.layer_of[node] = len(self.layers) - 1

    def _max_pool(self, node: fx.Node, kernel: Any, stride: Any, padding: Any) -> None:
        sizes = _single(kernel), _single(stride or kernel), _single(padding)
        self._append(node, self._exact_size(node, nn.MaxPool2d(*sizes)))

    def _avg_pool(self, node: fx.Node, kernel: Any, stride: Any, padding: Any) -> None:
        if _single(padding) != 0:
            raise _unknown("average pooling without padding", node)
        size, step = _single(kernel), _single(stride or kernel)
        self._exact_size(node, nn.AvgPool2d(size, step))
        self._append(node, QuantAvgPool((size, size), step))

    def _exact_size(self, node: fx.Node, pool: Pool) -> Pool:
        if pool(self.values[_first(node)]).shape != self.values[node].shape:
            raise _unknown("pooling without dilation and ceil_mode", node)
        return pool

    def _slice(self, node: fx.Node) -> None:
        before, after = self.values[_first(node)], self.values[node]
        stride = -(-before.shape[2] // after.shape[2])
        if not torch.equal(after, before[:, :, ::stride, ::stride]):
            raise _unknown("a slice x[:, :, ::stride, ::stride]", node)
        self._append(node, _identity(before.shape[1], stride))

    def _pad_channels(self, node: fx.Node) -> None:
        pad, *_ = self._arguments(node, pad=None)
        if len(pad) != 6 or any(pad[:4]):
            raise _unknown("padding of channels only", node)
        layer = self._joins(node, QuantConv)
        if layer is None or isinstance(layer.weight, nn.Parameter):
            layer = _identity(self.values[_first(node)].shape[1], 1)
            self._append(node, layer)
        layer.weight = F.pad(layer.weight, (0, 0, 0, 0, 0, 0, pad[4], pad[5]))

    def _is_input(self, node: fx.Node) -> bool:
        return self.layer_of.get(_first(node)) == 0 and self._take(node)

    def _take(self, node: fx.Node) -> bool:
        self.layer_of[node] = 0
        return True

    def _constant(self, node: fx.Node) -> Tensor:
        value = node.args[1]
        tensor = torch.as_tensor(self.values[value] if isinstance(value, fx.Node) else value)
        return tensor.detach().float().flatten().expand(self.shape[0])

    def _arguments(self, node: fx.Node, **defaults: Any) -> list[Any]:
        given = dict(zip(defaults, node.args[1:], strict=False)) | node.kwargs
        chosen = [given.get(name, default) for name, default in defaults.items()]
        return list(fx.node.map_arg(chosen, lambda n: self.values[n]))

    def _fold_std(self, layer: Layer | Dropout) -> None:
        if torch.equal(self.std, torch.ones_like(self.std)):
            return
        if not isinstance(layer, QuantConv):
            raise _unknown("a convolution after the normalisation of the images", layer)
        layer.input_scale = 1 / self.std


def _traced(model: nn.Module) -> fx.GraphModule:
    """The graph of a model; raises UserError naming all in it that no integer program has."""
    try:
        graph = fx.symbolic_trace(model)
    except Exception as error:  # it runs the model's code on stand-ins for tensors
        words = one_line(error)[:200]
        raise UserError(
            f"integer program: expected a network that torch.fx can trace, got: {words}; {HINT}"
        ) from error
    foreign: dict[str, None] = {}
    for node in graph.graph.nodes:
        if node.op == "call_module":
            layer = graph.get_submodule(str(node.target))
            foreign |= {} if isinstance(layer, KNOWN) else {type(layer).__name__: None}
        elif node.op == "call_function" and node.target in FOREIGN:
            foreign[FOREIGN[node.target]] = None
    if foreign:
        raise UserError(
            "integer program: expected convolutions, linear layers, batch norm, ReLU, pooling, "
            f"sums and flattening, got {', '.join(foreign)}; {HINT}"
        )
    return graph


def _node_values(graph: fx.GraphModule, shape: tuple[int, int, int]) -> dict[fx.Node, Any]:
    training = graph.training
    shapes = _Shapes(graph.eval())
    with torch.no_grad():
        shapes.run(torch.rand(2, *shape, generator=torch.Generator().manual_seed(0)))
    graph.train(training)
    return shapes.values


def _conv(module: nn.Conv2d) -> QuantConv:
    plain = module.groups == 1 and set(module.dilation) == {1} and module.padding_mode == "zeros"
    if not plain or isinstance(module.padding, str):
        raise _unknown("a convolution without groups and dilation, zero-padded by a number", module)
    return QuantConv(module.weight, module.bias, _single(module.stride), _single(module.padding))


def _identity(channels: int, stride: int) -> QuantConv:
    """A 1x1 convolution that copies; its weight is a constant, never trained."""
    weight = torch.eye(channels)[:, :, None, None]
    return QuantConv(weight, None, stride, 0)


def _single(size: int | Iterable[int]) -> int:
    sizes = {size} if isinstance(size, int) else set(size)
    if len(sizes) != 1:
        raise _unknown("square kernels, strides and paddings", tuple(sizes))
    return sizes.pop()


def _first(node: fx.Node) -> fx.Node:
    return node.all_input_nodes[0]


def _unknown(expected: str, got: object | Callable[..., Any]) -> UserError:
    text = str(got).splitlines()[0]
    return UserError(f"integer program: expected {expected}, got {text}; {HINT}")
