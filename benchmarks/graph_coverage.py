"""How many of torchvision's families `robench.graph` reads, and how near its twins come.

    python benchmarks/graph_coverage.py [FAMILY ...] [--folder DIR] [--images N]

Each family is exported by torch's exporter, with random weights and a free batch, and quantised by
onnxruntime.quantization, as QDQ with weights per channel, and as QOperator. Each file's twin is
held against ONNX Runtime on N images: the largest gap of a logit must be within the larger of twice
the runtime's own spread (optimisations on and off, one thread and several, one image at a time and
all) and one step of the logits (their quantiser's, else 1e-3 of their standard deviation). So that
random weights give answers that differ, batch norm sees images first, and the last layer is shifted
and scaled to logits of mean 0 and deviation 3; a network that still gives one label on over 90 % of
the images does not count. Networks are small members of their families. A table in markdown is
printed; DIR keeps the files and each family's line, so that a second call prints what is there.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from onnxruntime import quantization
from torch import Tensor, nn
from torchvision import models
from torchvision.models.maxvit import MaxVit
from torchvision.models.swin_transformer import SwinTransformer
from torchvision.models.vision_transformer import VisionTransformer

from robench.graph import Graph, GraphTwin, UnknownOperator, output_quantisers, read

CLASSES = 10
FORMATS = ("float", "QDQ", "QOperator")


@dataclass(frozen=True)
class Family:
    """How a small member of a family is made, and the size of its images."""

    build: Callable[..., nn.Module]
    size: int = 64


FAMILIES = {
    "AlexNet": Family(models.alexnet, 224),
    "VGG": Family(models.vgg11_bn, 224),
    "ResNet": Family(models.resnet18),
    "ResNeXt": Family(models.resnext50_32x4d),
    "Wide ResNet": Family(models.wide_resnet50_2),
    "DenseNet": Family(models.densenet121),
    "SqueezeNet": Family(models.squeezenet1_1),
    "GoogLeNet": Family(partial(models.googlenet, aux_logits=False, init_weights=False)),
    "Inception": Family(partial(models.inception_v3, aux_logits=False, init_weights=False), 128),
    "MobileNet v2": Family(models.mobilenet_v2),
    "MobileNet v3": Family(models.mobilenet_v3_small),
    "MNASNet": Family(models.mnasnet0_5),
    "ShuffleNet v2": Family(models.shufflenet_v2_x0_5),
    "EfficientNet": Family(models.efficientnet_b0),
    "EfficientNet v2": Family(models.efficientnet_v2_s),
    "RegNet": Family(models.regnet_y_400mf),
    "ConvNeXt": Family(models.convnext_tiny),
    "ViT": Family(
        partial(
            VisionTransformer, image_size=64, patch_size=8, num_layers=4, num_heads=4,
            hidden_dim=128, mlp_dim=256,
        )
    ),
    "Swin": Family(
        partial(
            SwinTransformer, patch_size=[4, 4], embed_dim=48, depths=[2, 2, 2, 2],
            num_heads=[3, 6, 12, 24], window_size=[4, 4],
        )
    ),
    "MaxViT": Family(
        partial(
            MaxVit, input_size=(64, 64), stem_channels=32, partition_size=2,
            block_channels=[32, 64, 128], block_layers=[1, 1, 1], head_dim=16,
            stochastic_depth_prob=0.0,
        )
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """What came of one file; `error` says why it was not read."""

    family: str
    format: str
    operators: int = 0
    images: int = 0
    labels: float = 0.0
    gap: float = 0.0
    spread: float = 0.0
    step: float = 0.0
    most: float = 0.0
    error: str = ""

    @property
    def counts(self) -> bool:
        """Whether the twin is as near as it must be, on answers that differ."""
        return not self.error and self.most <= 0.9 and self.gap <= max(2 * self.spread, self.step)


def images_of(count: int, size: int, seed: int) -> Tensor:
    """Random images (count, 3, size, size) in [0,1]: patches of many sizes and strengths."""
    rng = torch.Generator().manual_seed(seed)
    out = torch.zeros(count, 3, size, size)
    for cells in (1, 2, 4, 8, 16, 32):
        coarse = torch.rand(count, 3, cells, cells, generator=rng) - 0.5
        strength = torch.rand(count, 3, 1, 1, generator=rng)
        out += strength * nn.functional.interpolate(coarse, (size, size), mode="bilinear")
    return (out + 0.5).clamp(0, 1)


def network(family: Family) -> nn.Module:
    """A random network whose logits have mean 0 and deviation 3 on random images."""
    torch.manual_seed(0)
    net = family.build(num_classes=CLASSES)
    images = images_of(32, family.size, 1)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the plain mean of what it sees
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    with torch.no_grad():
        net.train()(images)
        net.eval()
        last = [m for m in net.modules() if isinstance(m, nn.Linear | nn.Conv2d)][-1]
        if not last.weight.any():  # as ViT's begins
            nn.init.normal_(last.weight)
        # SqueezeNet's last layer has a ReLU behind it, which what is subtracted would empty.
        logits = net(images)
        gain = 3 / logits.std(0).clamp(min=1e-6)
        last.weight.mul_(gain.reshape(-1, *[1] * (last.weight.dim() - 1)))
        if last.bias is not None:
            last.bias.mul_(gain)
            logits = net(images)
            shift = logits.mean(0) - (3 if isinstance(last, nn.Conv2d) else 0)
            last.bias.sub_(shift)
    return net


class _Calibration(quantization.CalibrationDataReader):
    def __init__(self, name: str, images: Tensor) -> None:
        self.parts: Iterator[dict[str, Any]] = iter(
            [{name: part.numpy()} for part in images.split(8)]
        )

    def get_next(self) -> dict[str, Any] | None:
        return next(self.parts, None)


def make_files(family: Family, folder: Path) -> None:
    """A family's three files."""
    net = network(family)
    example = (images_of(2, family.size, 2),)
    batch = ({0: torch.export.Dim("batch")},)
    torch.onnx.export(
        net, example, folder / "float.onnx", dynamo=True, dynamic_shapes=batch, verbose=False,
        external_data=False, input_names=["images"], output_names=["logits"],
    )  # fmt: skip
    prepared = str(folder / "prepared.onnx")
    quantization.quant_pre_process(str(folder / "float.onnx"), prepared)
    for name, form, kind in (
        ("QDQ", quantization.QuantFormat.QDQ, quantization.QuantType.QUInt8),
        ("QOperator", quantization.QuantFormat.QOperator, quantization.QuantType.QUInt8),
    ):
        quantization.quantize_static(
            prepared,
            str(folder / f"{name}.onnx"),
            _Calibration("images", images_of(32, family.size, 3)),
            quant_format=form,
            per_channel=name == "QDQ",
            activation_type=kind,
            weight_type=quantization.QuantType.QInt8,
        )


def answers(path: Path, images: Tensor, optimised: bool, threads: int, batch: int) -> Tensor:
    """A file's logits in ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = (
        levels.ORT_ENABLE_ALL if optimised else levels.ORT_DISABLE_ALL
    )
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    parts = [session.run(None, {"images": part.numpy()})[0] for part in images.split(batch)]
    return torch.from_numpy(np.concatenate(parts))


def step_of(graph: Graph, logits: Tensor) -> float:
    """One step of the logits."""
    last = [op for op in graph.operators if op.output in output_quantisers(graph)]
    if last:
        return float(max(np.max(op.quantiser.scale) for op in last))
    return 1e-3 * float(logits.std())


def measure(family: str, form: str, path: Path, count: int) -> Line:
    """A file's line."""
    try:
        graph = read(path, "onnx")
    except UnknownOperator as error:
        return Line(family, form, error=", ".join(error.operators))
    images = images_of(count, FAMILIES[family].size, 4)
    theirs = answers(path, images, True, 1, count)
    others = [(False, 1, count), (True, 2, count), (True, 1, 1), (False, 1, 1)]
    spread = max(float((answers(path, images, *other) - theirs).abs().max()) for other in others)
    with torch.no_grad():
        mine = torch.cat([GraphTwin(graph)(part) for part in images.split(16)])
    return Line(
        family,
        form,
        operators=len(graph.operators),
        images=count,
        labels=float((mine.argmax(1) == theirs.argmax(1)).float().mean()),
        gap=float((mine - theirs).abs().max()),
        spread=spread,
        step=step_of(graph, theirs),
        most=float(theirs.argmax(1).bincount().max()) / count,
    )


def lines_of(family: str, folder: Path, count: int) -> list[Line]:
    """A family's lines, read from the folder where an earlier call left them."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "lines.json"
    if not kept.exists():
        if not (folder / "QOperator.onnx").exists():
            make_files(FAMILIES[family], folder)
        made = [measure(family, form, folder / f"{form}.onnx", count) for form in FORMATS]
        kept.write_text(json.dumps([asdict(line) for line in made]))
    return [Line(**line) for line in json.loads(kept.read_text())]


def table(lines: list[Line]) -> str:
    """The lines, and how many of each format count."""
    rows = [
        "| family | format | operators | equal labels | largest gap | runtime's own spread | "
        "step | within |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for line in lines:
        row = f"| {line.family} | {line.format} "
        if line.error:
            rows.append(row + f"| unknown: {line.error} | | | | | no |")
            continue
        numbers = " | ".join(f"{x:.2g}" for x in (line.gap, line.spread, line.step))
        within = "yes" if line.counts else "one label" if line.most > 0.9 else "no"
        rows.append(row + f"| {line.operators} | {line.labels:.1%} | {numbers} | {within} |")
    for form in FORMATS:
        of = [line for line in lines if line.format == form]
        rows.append(f"\n{form}: {sum(line.counts for line in of)} of {len(of)} within")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("families", nargs="*", metavar="FAMILY", default=list(FAMILIES))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--images", type=int, default=64)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        lines: list[Line] = []
        for family in options.families:
            lines += lines_of(family, folder / family.replace(" ", "_"), options.images)
            for line in lines[-len(FORMATS) :]:
                print(line, flush=True)
    print(table(lines))


if __name__ == "__main__":
    main()
