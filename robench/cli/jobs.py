"""The jobs of a sweep: every combination of its values, planned, then launched in two waves.

Hydra reads the module of its sweepers anew when it looks for plugins: import this one after that.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep
from hydra.core.plugins import Plugins
from omegaconf import DictConfig, open_dict

from robench.base.errors import ConfigError, UserError
from robench.base.files import require_writable
from robench.base.hashing import file_hash
from robench.base.locks import require_shared_locks
from robench.base.text import one_line, reason
from robench.cli.composed import checked_run, typed
from robench.cli.launchers import OnRay, OnSlurm, adapted, for_part
from robench.records.store import RECORD
from robench.run import sweeps
from robench.run.compose import SEVERAL
from robench.run.config import Places, RunConfig

if TYPE_CHECKING:
    from robench.run.stages import Stages

TRIES = 3
"""Starts of a job whose worker dies, at most: it may be the one that kills it."""

MAX_JOBS = 10_000
"""Jobs of a sweep at most: each is composed and checked before the first begins."""


@dataclass(frozen=True)
class Composed:
    """A job as Hydra composed it: what runs, or why nothing does."""

    overrides: list[str]
    """What Hydra is told of it."""
    typed: tuple[str, ...]
    """What is kept of them."""
    run: tuple[RunConfig, Places] | None = None
    refused: str = ""


@dataclass(frozen=True)
class Foreseen:
    """What a job of a sweep would do, or why it is refused."""

    overrides: tuple[str, ...]
    plan: dict[str, Any] | None = None
    error: str = ""


class Jobs(BasicSweeper):
    """All combinations of a sweep's values, each once; a job leaves out options of what it has not.

    So `defense=none,mulaw defense.mulaw.mu=64,255` is one job of `none` and two of `mulaw`.
    """

    foreseen: ClassVar[list[Foreseen] | None] = None
    """What the jobs of the last sweep would do, where nothing was to be run."""
    trouble: ClassVar[str] = ""
    """What the launcher of the last sweep said when it gave up; empty where it did not."""

    def setup(self, **given: Any) -> None:
        """Called by Hydra."""
        super().setup(**given)
        assert self.launcher is not None
        self.launcher = adapted(self.launcher)

    def sweep(self, arguments: list[str]) -> None:
        """Plan all jobs, and launch those whose records are not there."""
        assert self.config is not None
        folder = Path(self.config.hydra.sweep.dir)
        require_writable(Path(self.config.results), "results=")
        require_writable(folder, "hydra.sweep.dir=")
        jobs = [self._composed(job) for job in self._combinations(arguments)]
        if self.config.dry_run:
            Jobs.foreseen = [_foreseen(job) for job in jobs]
            return
        self._require_shared(folder)
        plan = _plan(jobs, folder, Path(self.config.results), again=bool(self.config.again))
        if isinstance(self.launcher, BasicLauncher):
            # One job after the other waits for nobody.
            plan = replace(plan, trainings=())
        with sweeps.begun(folder, plan):
            self._run(folder, plan, jobs)

    def _require_shared(self, folder: Path) -> None:
        """Raise CacheError where jobs on several machines would write over each other."""
        assert self.config is not None
        if isinstance(self.launcher, OnSlurm | OnRay):
            for place in (Path(self.config.cache), Path(self.config.results), folder):
                require_shared_locks(place)

    def _combinations(self, arguments: list[str]) -> Iterable[list[str]]:
        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        asked = parser.parse_overrides([*self._parse_config(), *arguments])
        _require_few(asked)
        (batch,) = self.split_arguments(asked, None)
        return self.without_strangers(batch)

    def _composed(self, overrides: list[str]) -> Composed:
        assert self.hydra_context is not None
        assert self.config is not None
        loader = self.hydra_context.config_loader
        composed: DictConfig = loader.load_sweep_config(self.config, overrides)
        asked = typed(composed.hydra.overrides.task)
        with open_dict(composed):
            del composed["hydra"]
        try:
            return Composed(overrides, asked, run=checked_run(composed, asked))
        except UserError as error:
            return Composed(overrides, asked, refused=one_line(error))

    # -- launching -----------------------------------------------------------------------------

    def _run(self, folder: Path, plan: sweeps.Plan, jobs: Sequence[Composed]) -> None:
        """Launch what several jobs wait for along with what waits for nothing, then the rest."""
        for number, job in enumerate(plan.jobs):
            if job.refused:
                print(f"job {number} failed: {job.refused}", file=sys.stderr)
                end = sweeps.End(job.overrides, error=job.refused)
                sweeps.leave_note(folder, str(number), end)
        left = [n for n, job in enumerate(plan.jobs) if not (job.there or job.refused)]
        shared = set(plan.trainings)
        first = [n for n in left if not shared & set(plan.jobs[n].needs)]
        parts = {f"{sweeps.TRAININGS}/{at}": key for at, key in enumerate(plan.trainings)}
        trained = {
            part: next(n for n in left if key in plan.jobs[n].needs) for part, key in parts.items()
        }
        wave = {**trained, **{str(n): n for n in first}}
        self._launch(folder, {part: jobs[n].overrides for part, n in wave.items()})
        failed = {key: why for part, key in parts.items() if (why := _why(folder, part))}
        second: dict[str, list[str]] = {}
        for n in (n for n in left if n not in first):
            whys = [failed[key] for key in plan.jobs[n].needs if key in failed]
            if whys:
                sweeps.leave_note(folder, str(n), sweeps.End(plan.jobs[n].overrides, error=whys[0]))
            else:
                second[str(n)] = jobs[n].overrides
        self._launch(folder, second)

    def _launch(self, folder: Path, parts: dict[str, list[str]]) -> None:
        """Have the launcher run parts of the plan; what it raises is kept for the summary.

        Where a worker died its launcher has dropped the others' jobs, too: they are launched again.
        """
        assert self.launcher is not None
        started: Counter[str] = Counter()
        while parts:
            batch = [for_part(overrides, part) for part, overrides in parts.items()]
            try:
                self.launcher.launch(batch, initial_job_idx=0)
                return
            except Exception as error:
                Jobs.trouble = str(error) if isinstance(error, UserError) else reason(error)
                if not isinstance(error, BrokenExecutor):
                    return
            left = {p: o for p, o in parts.items() if sweeps.read_end(folder, p) is None}
            died = [part for part in left if (folder / f"{part}.alive").exists()]
            if not died and len(left) == len(parts):
                return
            started.update(died)
            parts = {part: o for part, o in left.items() if started[part] < TRIES}
            Jobs.trouble = ""

    # -- what a job has ------------------------------------------------------------------------

    def without_strangers(self, batch: Iterable[Sequence[str]]) -> list[list[str]]:
        """The jobs, each once, without options of components that it has not."""
        jobs = [list(job) for job in batch]
        chosen = [self._chosen(job) for job in jobs]
        somewhere = set().union(*chosen)
        own = [
            tuple(one for one in job if (of := _option_of(one)) in has or of not in somewhere)
            for job, has in zip(jobs, chosen, strict=True)
        ]
        return [list(job) for job in dict.fromkeys(own)]

    def _chosen(self, job: list[str]) -> set[tuple[str, str] | None]:
        """The components whose options a job sets and which it has: (kind, choice)."""
        asked = {_option_of(one) for one in job} - {None}
        if not asked:
            return set()
        # Only composing tells: a defense may bring a compressor, and a preset anything.
        return asked & self._components(tuple(one for one in job if "." not in one.split("=")[0]))

    def _components(self, choices: tuple[str, ...]) -> set[tuple[str, str] | None]:
        known: dict[tuple[str, ...], set[tuple[str, str] | None]] = vars(self).setdefault("_of", {})
        if choices not in known:
            assert self.hydra_context is not None
            assert self.config is not None
            loader = self.hydra_context.config_loader
            composed = loader.load_sweep_config(self.config, list(choices))
            known[choices] = {(kind, str(n)) for kind in SEVERAL for n in composed.get(kind) or ()}
        return known[choices]


def _require_few(asked: Iterable[Override]) -> None:
    """Raise ConfigError for more jobs than a sweep may have, counted before any is made."""
    counts = {override.get_key_element(): _values_of(override) for override in asked}
    if (jobs := math.prod(counts.values())) > MAX_JOBS:
        most = max(counts, key=lambda name: counts[name])
        raise ConfigError(
            f"expected a sweep of at most {MAX_JOBS:,} jobs, got {jobs:,}: {most} alone has "
            f"{counts[most]:,} values"
        )


def _values_of(override: Override) -> int:
    """How many values an override has; those of a range are not gone through."""
    if not override.is_discrete_sweep():
        return 1
    value = override.value()
    if not isinstance(value, RangeSweep):
        return sum(1 for _ in override.sweep_iterator())
    ends = value.start or 0, value.stop or 0, value.step
    if not value.step or not all(map(math.isfinite, ends)):
        raise ConfigError(
            f"expected range(START,STOP,STEP) of finite numbers and steps that are not 0 for "
            f"{override.get_key_element()}, got {override.input_line}"
        )
    start, stop, step = (Fraction(str(end)) for end in ends)
    return max(0, math.ceil((stop - start) / step))


def _option_of(override: str) -> tuple[str, str] | None:
    """The component that an override sets an option of: (kind, choice)."""
    kind, _, below = override.partition("=")[0].lstrip("+").partition(".")
    choice, _, option = below.partition(".")
    return (kind, choice) if kind in SEVERAL and option else None


# -- the plan --------------------------------------------------------------------------------------


def _plan(jobs: Sequence[Composed], folder: Path, results: Path, *, again: bool) -> sweeps.Plan:
    """What is to be run: whole records are left alone unless they are to be made again."""
    asked, needed = [], []
    for job in jobs:
        one, needs = _asked(job, again=again)
        asked.append(one)
        needed.append({} if one.there or one.refused else needs)
    users = Counter(key for needs in needed for key in needs)
    waited: dict[str, Stages] = {}
    for needs in needed:
        waited |= {key: steps for key, steps in needs.items() if users[key] > 1}
    shared = [key for key, steps in waited.items() if not _is_trained(steps)]
    planned = tuple(
        replace(one, needs=tuple(key for key in shared if key in needs))
        for one, needs in zip(asked, needed, strict=True)
    )
    return sweeps.Plan(sweeps.seen_from(folder, results), planned, tuple(shared))


def _asked(job: Composed, *, again: bool) -> tuple[sweeps.Asked, dict[str, Stages]]:
    """A job of the plan, and the stages of the networks that it trains."""
    if job.run is None:
        return sweeps.Asked(job.typed, refused=job.refused), {}
    from robench.run.cache import Cache
    from robench.run.stages import stages
    from robench.run.standing import stands
    from robench.run.trainings import trainings

    config, places = job.run
    record = places.results / config.id / RECORD
    before = file_hash(record) if record.is_file() else ""
    try:
        steps = stages(config, places, Cache(places.cache))
        there = not again and bool(before) and stands(steps)
        needs = trainings(steps)
    except UserError:
        # What is missing here, such as a file of data, may be where the job runs: it will say so.
        there, needs = False, {}
    return sweeps.Asked(job.typed, config.id, before=before, there=there), needs


def _is_trained(steps: Stages) -> bool:
    try:
        return steps.data_at_hand and steps.is_trained
    except UserError:
        return False


def _foreseen(job: Composed) -> Foreseen:
    from robench.run.planned import planned

    if job.run is None:
        return Foreseen(job.typed, error=job.refused)
    config, places = job.run
    try:
        return Foreseen(job.typed, plan=planned(config, places).plain(config, places))
    except UserError as error:
        return Foreseen(job.typed, error=one_line(error))


def _why(folder: Path, part: str) -> str:
    end = sweeps.read_end(folder, part)
    return (end and end.error) or ""


def use_jobs() -> None:
    """Let Hydra make the jobs of its own sweeper so; that of a plugin stays what it is."""
    # Hydra takes sweepers from its own namespace alone, so this one stands under its own's name.
    name = f"{BasicSweeper.__module__}.{BasicSweeper.__name__}"
    Plugins.instance().class_name_to_class[name] = Jobs
    Jobs.foreseen, Jobs.trouble = None, ""
