"""Change one operator or number at a time, and see whether the fast tests notice.

    python tools/mutants.py [MODULE ...]

The mutants are cosmic-ray's. A seeded sample of each module's is tried, each in a fork that has
all libraries loaded already, so that a mutant costs a second. docs/explanation/mutation.md has
the result. Needs POSIX (`fork`).
"""

from __future__ import annotations

import argparse
import ast
import gc
import importlib.abc
import importlib.util
import math
import os
import random
import resource
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType

import hypothesis
import pytest
import torch
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).parents[1]
SAMPLE, SEED = 300, 13
BYTES = 16 * 2**30
TESTS = {
    "robench.audit.verdict": (
        *("audit/test_verdict.py", "audit/test_best_row.py", "audit/test_means.py"),
    ),
    "robench.audit.means": ("audit/test_means.py",),
    "robench.audit.checks.averages": ("audit/test_means.py",),
    "robench.audit.checks.scores": ("audit/test_jumps.py",),
    "robench.audit.checks.labels": ("audit/test_asked.py",),
    "robench.audit.checks.memory": ("audit/test_memory.py",),
    "robench.audit.reach": ("audit/test_reach.py",),
    "robench.audit.sight": ("audit/test_sight.py",),
    "robench.audit.checks.process": ("audit/test_fork.py",),
    "robench.audit.judge": ("audit/test_judge.py",),
    "robench.audit.unasked": ("audit/test_stranger.py",),
    "robench.audit.stranger": ("audit/test_stranger.py",),
    "robench.search.rays": ("search/test_rays.py",),
    "robench.audit.contest": ("audit/test_contest.py",),
    "robench.base.stats": ("base/test_stats.py",),
    "robench.core.threat": ("core/test_threat.py",),
    "robench.leaderboard.table.ranking": ("leaderboard/test_ranking.py",),
    "robench.smoothing.sequential": ("smoothing/test_sequential.py",),
    "robench.smoothing.thresholds": ("smoothing/test_thresholds.py",),
    "robench.smoothing.radius": ("smoothing/test_radius.py",),
}
OPTIONS = (
    *("-xq", "--tb=no", "-pno:cacheprovider", "-pno:xdist"),
    "-Wignore::pytest.PytestAssertRewriteWarning",
)
IDENTITY = ("Is", "IsNot")


@dataclass(frozen=True)
class Mutant:
    """One module with one change: the source, and the first line that differs."""

    source: str
    line: int
    text: str
    operator: str


def operators() -> Iterator[str]:
    """The names of cosmic-ray's operators that change a value.

    Not those that need arguments; nor `==` for `is`, which are the same on small integers.
    """
    for name in operator_names():
        parts = name.rpartition("/")[2].split("_")
        mixed = "Comparison" in name and (parts[-1] in IDENTITY) != (parts[-2] in IDENTITY)
        if not get_operator(name).arguments() and not mixed:
            yield name


def meaning(source: str) -> str:
    """The syntax tree without annotations, which nothing evaluates: equal for equal programs."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        for field in ("annotation", "returns"):
            if getattr(node, field, None) is not None:
                setattr(node, field, ast.Constant(None))
    return ast.dump(tree)


def sample(source: str, size: int, seed: int) -> list[Mutant]:
    """A random sample of the mutants that are other, valid programs; all where there are fewer."""
    nodes = list(ast_nodes(get_ast(source)))
    places = []
    for name in operators():
        positions = get_operator(name)().mutation_positions
        count = sum(len(list(positions(node))) for node in nodes)
        places += [(name, occurrence) for occurrence in range(count)]
    random.Random(seed).shuffle(places)
    seen, drawn = {meaning(source)}, []
    for name, occurrence in places:
        changed = mutate_code(source, get_operator(name)(), occurrence)
        try:
            tree = meaning(changed)
        except SyntaxError:
            continue
        if tree in seen:
            continue
        seen.add(tree)
        pairs = zip(source.splitlines(), changed.splitlines(), strict=False)
        line, text = next((i, b.strip()) for i, (a, b) in enumerate(pairs, 1) if a != b)
        drawn.append(Mutant(changed, line, text, name.rpartition("/")[2]))
        if len(drawn) == size:
            break
    return drawn


class Loader(SourceFileLoader):
    """Loads a module's file with another source."""

    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self.source = source

    def get_code(self, fullname: str) -> CodeType:
        """The other source, compiled; the bytecode cache is neither read nor written."""
        return compile(self.source, self.path, "exec", dont_inherit=True)


@dataclass(frozen=True)
class Finder(importlib.abc.MetaPathFinder):
    """Finds one module with another source, and leaves all else to the finders after it."""

    module: str
    source: str

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        """The spec of that one module."""
        if fullname != self.module:
            return None
        file = str(path_of(fullname))
        return importlib.util.spec_from_file_location(
            fullname, file, loader=Loader(fullname, file, self.source)
        )


def path_of(module: str) -> Path:
    """The file of a module of this repository."""
    return ROOT / (module.replace(".", "/") + ".py")


def run_tests(module: str) -> int:
    """Run a module's tests in this process, up to the first that fails: pytest's exit status."""
    return pytest.main([*OPTIONS, *(str(ROOT / "tests" / test) for test in TESTS[module])])


def load_libraries(module: str) -> None:
    """Load what a module's tests load, and forget all that may depend on the module."""
    run_tests(module)
    ours = ("robench", "tests", "conftest", "test_")
    for name in [name for name in sys.modules if name.startswith(ours)]:
        del sys.modules[name]
    gc.collect()
    gc.freeze()


def survives(module: str, source: str, seconds: int) -> bool:
    """Whether the module's tests pass with this source, in a fork of its own.

    An endless loop or list is a failure: processor time, in seconds, and memory are limited.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
            resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(1, 2)
            sys.meta_path.insert(0, Finder(module, source))
            status = run_tests(module)
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0


def cpu_of_forks() -> float:
    """Seconds of processor time that all forks took until now."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Try the sample of each module asked for; print the survivors and a line of the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="such as stats; default: all")
    asked = parser.parse_args().modules or [name.rpartition(".")[2] for name in TESTS]
    sys.path[:0] = [str(ROOT), str(ROOT / "plugins")]
    warnings.simplefilter("ignore", SyntaxWarning)
    torch.set_num_threads(1)
    # Seeded examples, and none shrunk: a mutant killed is enough.
    generate = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile(
        "mutants", derandomize=True, database=None, deadline=None, phases=generate
    )
    hypothesis.settings.load_profile("mutants")
    for module in (name for name in TESTS if name.rpartition(".")[2] in asked):
        source = path_of(module).read_text(encoding="utf-8")
        load_libraries(module)
        before = cpu_of_forks()
        if not survives(module, source, 600):
            sys.exit(f"expected the tests of {module} to pass before any change; run them first")
        tried = sample(source, SAMPLE, SEED)
        seconds = 3 + math.ceil(2 * (cpu_of_forks() - before))
        killed = 0
        for mutant in tried:
            if survives(module, mutant.source, seconds):
                print(f"  {mutant.line}: {mutant.text}  ({mutant.operator})", flush=True)
            else:
                killed += 1
        share = killed / len(tried)
        print(f"{module}: {killed} of {len(tried)} killed ({share:.1%})", flush=True)


if __name__ == "__main__":
    main()
