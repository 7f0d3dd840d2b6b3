"""Files of four toolchains and their twins: agreement, strength of attacks, time.

    python -m benchmarks.files FOLDER resnet20=WEIGHTS mobilenet=WEIGHTS [--litert PYTHON]

WEIGHTS are safetensors of the network, trained on CIFAR-10 (ROBENCH_DATA names the folder that
holds it); PYTHON is that of LiteRT's environment (tools/litert_file.py). Files and results are kept
in FOLDER, so that a run that was stopped goes on, and printed as Markdown.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.files.making import Shipped, make
from benchmarks.files.measuring import agreement, saturation, seconds, strength
from robench.base.machine import keep_memory
from robench.run.config import Places
from robench_data.cifar10 import CIFAR10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("networks", nargs="+", metavar="NAME=WEIGHTS")
    parser.add_argument("--litert", default="")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--only", default="", help="a toolchain")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()
    data = CIFAR10().load(Places.from_environment().data_root)
    files: list[Shipped] = []
    for one in options.networks:
        name, _, weights = one.partition("=")
        files += make(name, Path(weights), options.folder / name, data, options.litert)
    measures = {
        "agreement": partial(agreement, data=data, count=options.images),
        "strength": partial(strength, data=data),
        "saturation": partial(saturation, data=data),
        "seconds": partial(seconds, data=data),
    }
    results = [
        (file, {name: kept(file, name, measure) for name, measure in measures.items()})
        for file in files
        if options.only in file.toolchain
    ]
    print("\n".join(tables(results)))


def kept(shipped: Shipped, name: str, measure: Callable[[Shipped], dict[str, Any]]) -> Any:
    """A measure of a file, from the folder or made now; nothing of attacks without a twin."""
    path = shipped.path.with_suffix(f".{shipped.runtime}.{name}.json")
    if not path.is_file():
        path.write_text(json.dumps(measure(shipped), indent=1))
    return json.loads(path.read_text())


def tables(results: list[tuple[Shipped, dict[str, Any]]]) -> list[str]:
    """The tables of docs/explanation/toolchains.md."""
    first = [
        "| network | file, runtime | bytes | accuracy, parent's | equal labels, clean | on "
        "PGD-10's examples | largest logit gap | runtime's own spread |",
        "|---" * 8 + "|",
    ]
    second = [
        "| network | file, runtime | clean | PGD-40, faithful twin | PGD-40, three twins | "
        "parent's PGD-40 | and Square-500 | three twins - these | PGD-10 | Square-500 | "
        "PGD-40's time, twin / parent |",
        "|---" * 11 + "|",
    ]
    third = [
        "| network | file, runtime | images with a logit at the ceiling | ties | faithful twin "
        "alone leaves more | the audit's check |",
        "|---" * 6 + "|",
    ]
    for file, found in results:
        name = f"| {file.network} | {file.toolchain}, {file.runtime}"
        agree, left, time = found["agreement"], found["strength"], found["seconds"]
        spread = min(agree["spread"].values(), default=None)
        first.append(
            f"{name} | {agree['bytes']:,} | {_percent(agree['accuracy'])}, "
            f"{_percent(agree['parent'])} | {_percent(agree['clean'], 2)} | "
            f"{_percent(agree['adversarial'], 2)} | {agree['gap']:.3f} | "
            f"{'-' if spread is None else _percent(spread, 2)} |"
        )
        ways = ("clean", "faithful", "three", "transfer", "transfer + square")
        cells = [_with_interval(left[way]) for way in ways]
        difference, low, high = (f"{100 * one:+.1f}" for one in left["difference"])
        cells.append(f"{difference} [{low}, {high}]")
        cells += [_with_interval(left[way]) for way in ("pgd10", "square")]
        cells.append(f"{time['ratio']:.2f}")
        second.append(f"{name} | {' | '.join(cells)} |")
        third.append(f"{name} | {_saturates(found['saturation'])} |")
    return [*first, "", *second, "", *third]


def _saturates(found: dict[str, Any]) -> str:
    shares = f"{_percent(found['ceiling'])} | {_percent(found['ties'])}"
    if "verdict" not in found:
        return f"{shares} | - | no quantiser to open"
    gap = _with_interval([found[name] for name in ("value", "low", "high")])
    return f"{shares} | {gap} | {found['verdict']}"


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"


def _with_interval(three: list[float]) -> str:
    value, low, high = (100 * one for one in three)
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"


if __name__ == "__main__":
    main()
