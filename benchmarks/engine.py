"""How fast integer programs run and twins train, beside eager float32, ONNX Runtime and OpenVINO.

    python benchmarks/engine.py [resnet20 cnn4 resnet50 qat] [--rounds N] [--threads 1 2] [--tuned]

Sides alternate in one process; rates are the median with the range, ratios the median over rounds
of the engine's rate to the other's in the same round. The ceiling (int8 multiply-accumulates of
VNNI registers, times threads) is measured in every round. Eager float32 runs at batch 400
(ResNet-50: 4), with glibc's own malloc thresholds unless --tuned keeps freed memory. Peers that are
not installed are left out.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import time
from collections.abc import Callable, Iterator
from statistics import median

import torch
from torch import nn
from torch.nn import functional as F

from robench.base.errors import UserError
from robench.base.machine import keep_memory
from robench.integer import Engine, Program, prepare_qat, quantize, to_program
from robench.integer.engine import available, compile_library
from robench.integer.runtimes import RUNTIMES, classifier
from robench_data.cnn4 import CNN4
from robench_data.resnet20 import ResNet20
from robench_data.torchvision_model import TorchvisionModel

PEAK = r"""
#include <immintrin.h>
__attribute__((target("avx512f,avx512vnni"))) int peak(long rounds) {
    __m512i acc[16], x = _mm512_set1_epi32(0x01010101);
    for (int i = 0; i < 16; i++) acc[i] = _mm512_setzero_si512();
    for (long r = 0; r < rounds; r++) {
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) acc[i] = _mm512_dpbusd_epi32(acc[i], x, x);
        __asm__ volatile("" ::"v"(acc[0]));
    }
    for (int i = 1; i < 16; i++) acc[0] = _mm512_add_epi32(acc[0], acc[i]);
    return _mm512_reduce_add_epi32(acc[0]);
}
"""
PEAK_ROUNDS = 1_000_000
PEAK_MACS = PEAK_ROUNDS * 16 * 64
NETWORKS = {
    "resnet20": (ResNet20(), (3, 32, 32), 10, 400),
    "cnn4": (CNN4(), (1, 28, 28), 10, 400),
    "resnet50": (TorchvisionModel(name="resnet50"), (3, 224, 224), 1000, 4),
}
Work = Callable[[], object]


def main() -> None:
    arguments = _arguments()
    if arguments.tuned:
        keep_memory()
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        for name in arguments.what:
            if name == "qat":
                training(arguments.rounds, threads)
            else:
                inference(name, arguments.rounds, threads)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", default=[*NETWORKS, "qat"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--tuned", action="store_true")
    return parser.parse_args()


def inference(name: str, rounds: int, threads: int) -> None:
    """The engine on every instruction set, eager float32 and the ONNX runtimes, same images."""
    component, shape, classes, batch = NETWORKS[name]
    torch.manual_seed(0)
    model = component.build(shape, classes).eval()
    pixels = torch.randint(0, 256, (batch, *shape), dtype=torch.uint8)
    program = to_program(quantize(model, pixels[:50] / 255, "minmax"))
    sides = {}
    for isa in available():
        engine = Engine(program, isa=isa)
        if isa != "c":
            sides[f"engine {isa}"] = lambda e=engine: e.run(pixels, threads=threads)
    floats = pixels / 255
    sides["eager float32"] = torch.inference_mode()(lambda: model(floats))
    sides |= dict(_onnx(program, pixels.float().numpy(), threads))
    rates = alternate(sides, rounds, batch, threads)
    ceiling = median(rates.pop("ceiling")) / program.macs()
    _table(f"{name}, {threads} threads, batch {batch}, images/s", rates, ceiling)


def training(rounds: int, threads: int) -> None:
    """One SGD step of ResNet-20 at batch 128, channels last: float and fake-quantised."""
    torch.manual_seed(0)
    model = ResNet20().build((3, 32, 32), 10)
    images = torch.rand(128, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (128,))
    sides = {
        "engine: qat": _step(prepare_qat(model, (3, 32, 32)), images, labels),
        "float32": _step(model, images, labels),
    }
    rates = alternate(sides, rounds, 128, threads)
    rates.pop("ceiling")
    _table(f"training resnet20, {threads} threads, batch 128, images/s", rates, None)


def _step(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> Work:
    model = model.to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step() -> None:
        optimiser.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimiser.step()

    return step


def _onnx(program: Program, pixels: object, threads: int) -> Iterator[tuple[str, Work]]:
    """ONNX Runtime and OpenVINO on the exported program."""
    for runtime in RUNTIMES:
        try:
            other = classifier(program, runtime, threads)
        except UserError as error:
            print(f"left out: {error}")
            continue
        yield f"{runtime} int8", lambda other=other: other.infer(pixels)


def alternate(
    sides: dict[str, Work], rounds: int, count: int, threads: int
) -> dict[str, list[float]]:
    """Rates of each side, one per round, and of the ceiling in multiply-accumulates a second."""
    rates: dict[str, list[float]] = {name: [] for name in (*sides, "ceiling")}
    peak = ctypes.CDLL(str(compile_library(PEAK))).peak
    for work in sides.values():
        work()
    for _ in range(rounds):
        rates["ceiling"].append(threads * PEAK_MACS / _seconds(lambda: peak(PEAK_ROUNDS)))
        for name, work in sides.items():
            rates[name].append(count / _seconds(work))
    return rates


def _seconds(work: Work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _table(title: str, rates: dict[str, list[float]], ceiling: float | None) -> None:
    print(f"\n{title} (load {os.getloadavg()[0]:.1f})")
    if ceiling is not None:
        print(f"  ceiling of VNNI {ceiling:.0f}")
    engines = [name for name in rates if name.startswith("engine")]
    for name, values in rates.items():
        line = f"  {name:20} {median(values):8.0f} ({min(values):.0f}..{max(values):.0f})"
        line += f"  {median(values) / ceiling:.2f} of the ceiling" if ceiling else ""
        for engine in engines if name not in engines else []:
            ratios = [e / v for e, v in zip(rates[engine], values, strict=True)]
            spread = f"{min(ratios):.2f}..{max(ratios):.2f}"
            line += f"  {engine.split()[1]} {median(ratios):.2f}x ({spread})"
        print(line)


if __name__ == "__main__":
    main()
