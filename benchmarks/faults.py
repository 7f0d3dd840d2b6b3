"""What is left after a disk that fails, or a kill -9, and whether work goes on from there.

    python benchmarks/faults.py writes [ERROR ...] [--every N]     the n-th write fails, for all n
    python benchmarks/faults.py kills [--count N]                  kill -9 at random moments

Each prints a table; a finding is printed with its case, and the exit status is 1 then. A C compiler
makes a shim that stands before the system's calls that write. Every case runs in a process forked
from one that has everything imported, and begins with all that the work needs before it. Where two
writes that failed leave the same files, of the same sizes but for JSON, which holds seconds, work
goes on from the first of them alone.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyarrow import parquet

SHIM = Path(__file__).with_suffix(".c")

RUN = [
    *("run", "defense=gaussian_training", "attack=[fgsm,pgd]", "attack.pgd.steps=3"),
    *("train.epochs=3", "images=30", "threads=1", "audit=off"),
]
CERTIFY = [
    *("run", "defense=float_rs", "attack=[]", "metric=[accuracy,certified]", "train.epochs=1"),
    *("images=2", "threads=1", "audit=off", "metric.certified.radii=[0.0,0.25]"),
]
SWEEP = ["run", "-m", "seed=0,1", "attack=fgsm", "train.epochs=1", "images=20", "threads=1"]
SWEEP += ["audit=off", "hydra.sweep.dir=${results}/sweeps/one"]
PAGE = ["leaderboard", "results", "--out", "page"]
WORK = {"run": [RUN], "certify": [CERTIFY], "sweep": [SWEEP], "page": [RUN, PAGE]}
"""What is disturbed is the last command; those before it are done first."""


@dataclass
class Ended:
    """How a command in a process of its own ended."""

    status: int
    """Its exit status, negative for a signal."""
    said: str
    """Its standard error."""
    writes: int = 0


@contextmanager
def prepared(kind: str) -> Iterator[tuple[Path, list[str]]]:
    """A folder with all that the work needs before it, and the command that is disturbed."""
    *before, last = WORK[kind]
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "root"
        root.mkdir()
        for command in before:
            assert done(command, root).status == 0
        yield root, last


@contextmanager
def copied(begun: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "root"
        shutil.copytree(begun, root, symlinks=True)
        yield root


# -- one case --------------------------------------------------------------------------------------


def forked(arguments: list[str], root: Path, arm: Callable[[], None] | None = None) -> int:
    """Start a command in a child with its folders below `root`; returns its process."""
    child = os.fork()
    if child:
        return child
    status = 99
    try:
        os.chdir(root)
        error = os.open(root.with_suffix(".err"), os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(error, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if arm:
            arm()
        from robench.cli.main import main

        status = main(arguments)
        root.with_suffix(".seen").write_text(str(library().fault_seen()) if arm else "0")
    finally:
        sys.stderr.flush()
        os._exit(status)


def ended(child: int, root: Path) -> Ended:
    _, how = os.waitpid(child, 0)
    seen = root.with_suffix(".seen")
    count = int(seen.read_text()) if seen.exists() else 0
    said = root.with_suffix(".err").read_text(errors="replace")
    return Ended(os.waitstatus_to_exitcode(how), said, count)


def done(arguments: list[str], root: Path, arm: Callable[[], None] | None = None) -> Ended:
    return ended(forked(arguments, root, arm), root)


def library() -> Any:
    return ctypes.CDLL(os.environ["LD_PRELOAD"])


def armed(root: Path, n: int, number: int) -> Callable[[], None]:
    return lambda: library().fault_arm(str(root).encode() + b"/", ctypes.c_long(n), number)


def state(root: Path) -> dict[str, Any]:
    """What the commands left which others read: records without seconds and commit, the page."""
    found: dict[str, Any] = {}
    for path in sorted(root.glob("results/[!.]*/record.json")):
        record = json.loads(path.read_text())
        del record["timings"], record["provenance"]["commit"]
        for part in (*record["rows"], *record["audit"]):
            part.pop("seconds")
        if (table := path.with_name("certificates.parquet")).exists():
            # Each image's seconds stand in it.
            told = parquet.read_table(table).drop_columns(["seconds"])
            record["files"][table.name] = told.to_pydict()
        found[path.parent.name] = record
    names = (path.relative_to(root) for path in sorted(root.glob("page/**/*.html")))
    found["page"] = [str(name) for name in names]
    return found


def differs(got: Any, expected: Any, where: str = "") -> list[str]:
    """Where two states are not the same."""
    if got == expected:
        return []
    if isinstance(got, dict) and isinstance(expected, dict):
        names = sorted(got.keys() | expected.keys())
        return [
            told
            for name in names
            for told in differs(got.get(name), expected.get(name), f"{where}/{name}")
        ]
    return [f"{where}: {got!r:.80} for {expected!r:.80}"]


def faults_of(root: Path) -> list[str]:
    """What is half-written below a folder."""
    found = []
    for folder in (path for path in root.glob("results/*") if not path.name.startswith(".")):
        if folder.name in ("sweeps", "last"):
            continue
        try:
            named = {*json.loads((folder / "record.json").read_text())["files"], "record.json"}
        except (OSError, ValueError):
            found.append(f"{folder.name} without a record")
            continue
        there = {path.name for path in folder.iterdir()}
        if there - {"preview.webp"} != named:
            found.append(f"{folder.name} holds {sorted(there ^ named)}")
    for note in root.glob("results/sweeps/*/*.json"):
        try:
            json.loads(note.read_text())
        except ValueError:
            found.append(f"{note.name} is torn")
    return found


def leftovers(root: Path) -> list[str]:
    """What only an unfinished writer has."""
    paths = [*root.glob("results/**/*"), *root.glob(".*"), *root.glob("page/**/*")]
    return [p.name for p in paths if p.name.endswith((".partial", ".old", ".now", ".new"))]


def listing(root: Path) -> str:
    """All files below a folder by name, with their sizes but for JSON."""
    told = []
    for path in sorted(root.rglob("*")):
        size = path.stat().st_size if path.is_file() and path.suffix != ".json" else ""
        told.append(f"{path.relative_to(root)} {size}")
    return "\n".join(told)


# -- writes that fail ------------------------------------------------------------------------------


def writes(errors: list[str], every: int, first: int, kinds: list[str]) -> int:
    """Let every n-th write fail, from the first on; prints a row a kind of work and error."""
    bad = 0
    print("| work | error | writes | one line, exit 2 | half-written | left | resumed the same |")
    print("|---|---|---|---|---|---|---|")
    for kind, name in itertools.product(kinds, errors):
        result: Counter[str] = Counter()
        with prepared(kind) as (begun, last):
            with copied(begun) as root:
                expected, count = _counted(last, root)
            tried = range(first, count + 1, every)
            resumed: set[str] = set()
            for n in tried:
                with copied(begun) as root:
                    told = _case(last, root, n, name, expected, resumed)
                result.update(told.keys())
                for words in told.values():
                    bad += 1
                    print(f"  {kind}, {name} at write {n}: {words}", file=sys.stderr)
        print(
            f"| {kind} | {name} | {len(tried)} of {count} | {len(tried) - result['line']} "
            f"| {result['half']} | {len(resumed)} | {len(resumed) - result['resumed']} |",
            flush=True,
        )
    return bad


def _counted(last: list[str], root: Path) -> tuple[dict[str, Any], int]:
    found = done(last, root, armed(root, 0, 0))
    assert found.status == 0, found.said
    return state(root), found.writes


def _case(
    last: list[str], root: Path, n: int, name: str, expected: Any, resumed: set[str]
) -> dict[str, str]:
    """What is wrong after the n-th write failed: what was said, what was left, what came after.

    What came after is looked at where what was left is not in `resumed`, to which it is added.
    """
    wrong = {}
    found = done(last, root, armed(root, n, getattr(errno, name)))
    lines = [line for line in found.said.splitlines() if line.strip()]
    ours = [line for line in lines if not line.startswith(("job ", "robench: plugin"))]
    if found.status == 0 and state(root) == expected and not leftovers(root):
        return {}  # what failed was only tried: the work is whole without it
    if found.status != 2 or len(ours) > 1 or "internal error" in found.said:
        wrong["line"] = f"status {found.status}: {found.said[-300:]!r}"
    if half := [*faults_of(root), *leftovers(root)]:
        wrong["half"] = str(half)
    if (files := listing(root)) in resumed:
        return wrong
    resumed.add(files)
    again = done(last, root)
    told = differs(state(root), expected)
    if again.status != 0 or told or leftovers(root):
        wrong["resumed"] = f"status {again.status}: {again.said[-300:]!r} {leftovers(root)} {told}"
    return wrong


# -- kills -----------------------------------------------------------------------------------------


def kills(count: int, seed: int, kinds: list[str]) -> int:
    """Kill work at random moments; prints a row a kind of work."""
    moments, bad = random.Random(seed), 0
    print("| work | kills | too late | half-written | resumed the same | left after it |")
    print("|---|---|---|---|---|---|")
    for kind in kinds:
        result: Counter[str] = Counter()
        with prepared(kind) as (begun, last):
            with copied(begun) as root:
                started = time.monotonic()
                assert done(last, root).status == 0
                took, expected = time.monotonic() - started, state(root)
            while result["killed"] < count // len(kinds):
                with copied(begun) as root:
                    found = _killed(last, root, took, moments, expected)
                result.update(found)
                if wrong := {n: w for n, w in found.items() if n in ("half", "resumed") and w}:
                    bad += 1
                    print(f"  {kind}: {wrong}", file=sys.stderr)
        print(
            f"| {kind} | {result['killed']} | {result['late']} | {result['half']} "
            f"| {result['rounds'] - result['resumed']} of {result['rounds']} "
            f"| {result['left']} |",
            flush=True,
        )
    return bad


def _killed(
    last: list[str],
    root: Path,
    took: float,
    moments: random.Random,
    expected: Any,
) -> Counter[str]:
    """One round: two to five kills one after the other, then the same command to its end."""
    found: Counter[str] = Counter(rounds=1)
    for _ in range(moments.randint(2, 5)):
        child = forked(last, root)
        time.sleep(moments.uniform(0.02, 1.0) * took)
        os.kill(child, signal.SIGKILL)
        late = ended(child, root).status >= 0
        found["late" if late else "killed"] += 1
        found["half"] += bool(faults_of(root))
        if late:
            break
    again = done(last, root)
    told = differs(state(root), expected)
    if again.status != 0 or told:
        found["resumed"] += 1
        print(f"  status {again.status}: {told} {again.said[-400:]}", file=sys.stderr)
    found["left"] += bool(leftovers(root))
    return found


# -- the whole -------------------------------------------------------------------------------------


def preloaded() -> None:
    """Start this program again with the shim before the system's library."""
    folder = Path(tempfile.mkdtemp())
    built = folder / "shim.so"
    command = ["cc", "-O1", "-shared", "-fPIC", "-o", str(built), str(SHIM), "-ldl"]
    subprocess.run(command, check=True)
    try:
        env = {**os.environ, "LD_PRELOAD": str(built)}
        raise SystemExit(
            subprocess.run([sys.executable, *sys.argv], env=env, check=False).returncode
        )
    finally:
        shutil.rmtree(folder)


def warm() -> None:
    """Import all that a case would, and let nothing wait for a clock."""
    for name in ("ROBENCH_RESULTS", "ROBENCH_CACHE"):
        os.environ.pop(name, None)
    import torch

    from robench.training import checkpoint

    torch.set_num_threads(1)
    checkpoint.SECONDS_BETWEEN = 0.0
    with tempfile.TemporaryDirectory() as place:
        # What a first run imports lazily would be imported by every child.
        here = os.getcwd()
        os.chdir(place)
        from robench.cli.main import main

        kept = os.dup(1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        # Not all that it would do: threads, as of the page's charts, do not survive a fork.
        main(["run", "attack=fgsm", "train.epochs=1", "images=20", "threads=1", "--quiet"])
        os.dup2(kept, 1)
        os.chdir(here)


def main_() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    what = parser.add_subparsers(dest="what", required=True)
    failing = what.add_parser("writes")
    failing.add_argument("errors", nargs="*", default=["ENOSPC", "EIO", "EROFS", "EACCES"])
    failing.add_argument("--every", type=int, default=1)
    failing.add_argument("--first", type=int, default=1)
    killing = what.add_parser("kills")
    killing.add_argument("--count", type=int, default=200)
    killing.add_argument("--seed", type=int, default=0)
    for one in (failing, killing):
        one.add_argument("--work", choices=list(WORK), nargs="+", default=list(WORK))
    options = parser.parse_args()
    if "LD_PRELOAD" not in os.environ:
        preloaded()
    warm()
    if options.what == "writes":
        return bool(writes(options.errors, options.every, options.first, options.work))
    return bool(kills(options.count, options.seed, options.work))


if __name__ == "__main__":
    sys.exit(main_())
