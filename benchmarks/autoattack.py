"""Our strongest attack beside the original AutoAttack `standard`, on networks of our own.

    python -m benchmarks.networks FOLDER [--held-out]
    python -m benchmarks.autoattack FOLDER [--held-out | --masked] [--attack NAME] [--seeds N]
        [--networks NAME ...] [--images N] [--others] [--stored FOLDER] [--grid] [--l2] [--markdown]

Both sides run in turn in one process, with one thread, on the same test images (a stratified draw),
in the Linf ball of each network, with --l2 in the L2 ball of its data set. In float, both search
and are judged in float. On the 8-bit grid ours searches the grid; the original's points are rounded
onto it by `Threat.project`, and with --grid it also searches a network that rounds its input
(gradients straight through), which is the fairest that it can be asked. Each side's candidates are
judged anew by the network.

The difference is ours minus the original's robust accuracy: below zero ours is stronger. Its 95 %
interval is Newcombe's for pairs. Seconds are the processor time of the process. With --stored the
original's side is read from where a run before left it, and written there where none did; its
seconds are then of that run.

Masked networks (--masked) hide their gradients on purpose: there the original also attacks the
network with its mask led around, and counts with whatever either of the two runs found.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.held_out import HELD_OUT, MASKED
from benchmarks.networks import TUNING, Network, Subject
from benchmarks.original import Cost, Rounded, installed, standard
from robench.base.machine import keep_memory
from robench.base.seeds import derive
from robench.base.stats import Paired, paired
from robench.plugin.components import Attack
from robench.plugin.registry import registry
from robench.plugin.spent import Spent
from robench.run.config import Places
from robench.search.target import Target

LIMIT = 0.01
"""By so much accuracy ours must surely not be weaker on any network."""


@dataclass(frozen=True)
class Side:
    """What one side left right, and what it took."""

    held: Tensor
    """Which images it left right: bool (N,)."""
    seconds: float
    gradients: int
    queries: int


@dataclass(frozen=True)
class Original:
    """The original's side on one network, as it is stored."""

    version: str
    weights: str
    """Digest of the network's weights."""
    seed: int
    images: int
    held: list[int]
    """Images that it leaves right in float, by index."""
    rounded: list[int]
    """Those that its points, rounded onto the grid, leave right."""
    cost: Cost

    def side(self, held: list[int]) -> Side:
        """One of its two masks with what it took."""
        return Side(
            mask(held, self.images), self.cost.total, self.cost.gradients, self.cost.queries
        )


def mask(indices: list[int], count: int) -> Tensor:
    """Indices as a mask: bool (count,)."""
    found = torch.zeros(count, dtype=torch.bool)
    found[indices] = True
    return found


def right(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Which images a model gets right: bool (N,)."""
    with torch.no_grad():
        parts = [model(part).argmax(1) for part in images.split(250)]
    return torch.cat(parts) == labels


def measured(subject: Subject, model: nn.Module, weights: str, count: int) -> Original:
    """Run the original on a model, and judge its points by the subject's network."""
    images, labels = subject.images(count)
    found, cost = standard(model, images, labels, subject.threat(grid=False), seed=0)
    masks = [
        right(subject.twin, subject.threat(grid).project(found, images), labels)
        for grid in (False, True)
    ]
    return Original(
        str(installed()),
        weights,
        0,
        len(images),
        *(one.nonzero().flatten().tolist() for one in masks),
        cost,
    )


def read(path: Path) -> Original:
    """A stored side."""
    content = json.loads(path.read_text())
    return Original(**{**content, "cost": Cost(**content["cost"])})


def original(
    subject: Subject, kind: str, model: nn.Module, options: argparse.Namespace
) -> Original:
    """The original's side: as stored of these weights and images, else run, and stored."""
    weights, count = subject.network.digest(options.folder), options.images
    marks = [".l2"] * options.l2 + [".others"] * options.others
    name = f"{subject.network.name}{''.join(marks)}.{kind}.json"
    path = options.stored / name if options.stored else None
    if path and path.exists():
        known = read(path)
        if (known.weights, known.images) == (weights, count):
            return known
    result = measured(subject, model, weights, count)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(result)))
    return result


def ours(attack: Attack, subject: Subject, count: int, grid: bool, seed: int) -> Side:
    """Run our attack, and judge its candidates as the original's are."""
    images, labels = subject.images(count)
    threat = subject.threat(grid)
    asked = Spent()
    counted = asked.watch(nn.Sequential(subject.twin))
    rng = torch.Generator().manual_seed(derive(seed, "benchmark"))
    start = time.process_time()
    found = attack.run_judged(Target.of(counted), images, labels, threat, rng)
    seconds = time.process_time() - start
    held = right(subject.twin, threat.project(found, images), labels)
    return Side(held, seconds, asked.gradients, asked.queries)


@dataclass(frozen=True)
class Line:
    """One network, in float or on the grid."""

    name: str
    judged: str
    """float, grid (the original's points rounded), search (it searches the grid too)."""
    original: Side | None
    ours: list[Side]
    """One for each seed."""
    clean: float

    @property
    def union(self) -> Tensor:
        """What no seed broke: bool (N,)."""
        return torch.stack([side.held for side in self.ours]).all(0)

    def against(self, held: Tensor) -> Paired | None:
        """Ours, as a mask of what it left, minus the original; None without the original."""
        if self.original is None:
            return None
        return paired(held.numpy(), self.original.held.numpy())

    @property
    def faster(self) -> float | None:
        """The original's seconds over ours, the median of the seeds."""
        if self.original is None:
            return None
        return self.original.seconds / statistics.median(side.seconds for side in self.ours)


def compare(
    network: Network, attack: Attack, options: argparse.Namespace, root: Path
) -> list[Line]:
    """Both sides on one network, in turn: ours, the original, ours again for each seed more."""
    subject = replace(network.load(options.folder, root), others=options.others)
    count = options.images
    run = partial(ours, attack, subject, count)
    first = {grid: [run(grid=grid, seed=0)] for grid in (False, True)}
    sides = originals(subject, options) if options.original else {}
    for seed in range(1, options.seeds):
        for grid, found in first.items():
            found.append(run(grid=grid, seed=seed))
    images, labels = subject.images(count)
    clean = right(subject.twin, images, labels).float().mean().item()
    judged = ["float", "grid", *(["search"] if "search" in sides else [])]
    return [
        Line(network.name, name, sides.get(name), first[name != "float"], clean) for name in judged
    ]


def originals(subject: Subject, options: argparse.Namespace) -> dict[str, Side]:
    """The original's sides by how they are judged."""
    run = partial(original, subject, options=options)
    plain = run("float", subject.twin)
    sides = {"float": plain.side(plain.held), "grid": plain.side(plain.rounded)}
    if subject.network.mask:
        adaptive = run("adaptive", subject.adaptive)
        both = {"float": adaptive.held, "grid": adaptive.rounded}
        return {name: either(side, adaptive.side(both[name])) for name, side in sides.items()}
    if options.grid:
        search = run("grid", Rounded(subject.twin))
        sides["search"] = search.side(search.rounded)
    return sides


def either(one: Side, other: Side) -> Side:
    """What neither of two runs broke; the second's cost on top."""
    return Side(
        one.held & other.held,
        one.seconds + other.seconds,
        one.gradients + other.gradients,
        one.queries + other.queries,
    )


HEAD = (
    *("network", "judged", "clean", "original", "ours", "difference", "all seeds"),
    *("gradients + queries", "the original's", "seconds", "the original's", "faster"),
)


def cells(line: Line, count: int) -> list[str]:
    """A line of the table: per cent, gradients and queries an image, CPU seconds."""
    one, theirs = line.ours[0], line.original
    seconds = statistics.median(side.seconds for side in line.ours)
    union = f"{100 * line.union.float().mean():.1f}" if len(line.ours) > 1 else ""
    return [
        *(line.name, line.judged, f"{100 * line.clean:.1f}"),
        f"{100 * theirs.held.float().mean():.1f}" if theirs else "",
        f"{100 * one.held.float().mean():.1f}",
        difference(line.against(one.held)),
        union,
        spent(one, count),
        spent(theirs, count) if theirs else "",
        f"{seconds:.1f}",
        f"{theirs.seconds:.1f}" if theirs else "",
        f"{line.faster:.1f}" if line.faster else "",
    ]


def spent(side: Side, count: int) -> str:
    """Gradients and queries an image."""
    return f"{side.gradients / count:.0f} + {side.queries / count:.0f}"


def difference(found: Paired | None) -> str:
    """A paired difference in points with its interval, and an exclamation mark where it may be
    above the limit."""
    if found is None:
        return ""
    mark = "" if found.high <= LIMIT else " !"
    return f"{100 * found.difference:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]{mark}"


def summary(lines: list[Line], judged: str) -> str:
    """The mean over networks, and on how many ours is surely not weaker by the limit."""
    mine = [line for line in lines if line.judged == judged]
    found = [line.against(line.ours[0].held) for line in mine]
    known = [one for one in found if one]
    mean = statistics.fmean(one.difference for one in known)
    within = sum(one.high <= LIMIT for one in known)
    ratios = [line.faster for line in mine if line.faster]
    return (
        f"{judged}: mean difference {100 * mean:+.2f} points; weaker by at most 1 point for sure "
        f"on {within} of {len(known)}; broke {sum(one.only_second for one in known)} images that "
        f"the original left, left {sum(one.only_first for one in known)} that it broke; "
        f"{statistics.median(ratios):.1f} times faster (median; {min(ratios):.1f} to "
        f"{max(ratios):.1f})"
    )


def show(row: list[str], markdown: bool) -> None:
    if markdown:
        print("| " + " | ".join(row) + " |", flush=True)
        return
    widths = (23, 6, 5, 8, 5, 22, 9, 19, 14, 7, 14, 6)
    print(" ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)), flush=True)


def main() -> None:
    options = parsed()
    torch.set_num_threads(1)
    keep_memory()
    root = Places.from_environment().data_root
    attack = registry().get("attack", options.attack).make()
    assert isinstance(attack, Attack)
    version = installed()
    options.original = bool(version or options.stored)
    print(said(options, version))
    show(list(HEAD), options.markdown)
    if options.markdown:
        show(["---"] * len(HEAD), options.markdown)
    lines: list[Line] = []
    for network in chosen(options):
        for line in compare(network, attack, options, root):
            lines.append(line)
            show(cells(line, options.images), options.markdown)
    if options.original:
        kinds = dict.fromkeys(line.judged for line in lines)
        print("\n" + "\n".join(summary(lines, judged) for judged in kinds))


def said(options: argparse.Namespace, version: str | None) -> str:
    """One line on what is compared."""
    if not options.original:
        return "pyautoattack is not installed: the original's side is left out"
    where = "read from an earlier run where it has one" if options.stored else "run beside it"
    return (
        f"{options.attack} against pyautoattack {version or 'as stored'}, standard ({where}), "
        f"{options.images} images, {'L2' if options.l2 else 'Linf'}, one thread; "
        "seconds are processor time"
    )


def chosen(options: argparse.Namespace) -> tuple[Network, ...]:
    """The networks to attack; exits where a name is unknown."""
    known = MASKED if options.masked else HELD_OUT if options.held_out else TUNING
    names = options.networks or [network.name for network in known]
    if unknown := set(names) - {network.name for network in known}:
        raise SystemExit(f"expected networks among {[n.name for n in known]}, got {unknown}")
    found = (network for network in known if network.name in names)
    return tuple(network.in_l2 if options.l2 else network for network in found)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where benchmarks.networks wrote the weights")
    parser.add_argument("--held-out", action="store_true", help="networks not tuned on")
    parser.add_argument("--masked", action="store_true", help="networks that hide gradients")
    parser.add_argument("--networks", nargs="*", metavar="NAME")
    parser.add_argument("--attack", default="strongest")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--others", action="store_true", help="images not among the usual 500")
    parser.add_argument("--seeds", type=int, default=2, help="runs of ours, and their union")
    parser.add_argument("--stored", type=Path, help="folder of the original's side")
    parser.add_argument("--grid", action="store_true", help="the original searches the grid too")
    parser.add_argument("--l2", action="store_true", help="in the L2 ball of each data set")
    parser.add_argument("--markdown", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
