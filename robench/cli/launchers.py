"""Hydra's launchers, with what they lack: waiting for all jobs, and telling why one is lost.

A launcher of submitit or Ray gives up at the first job that is killed or cancelled, while others
go on, and shows a job that robench failed as a success. Each gets another way to wait here; how it
submits stays its own.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

from robench.base.errors import UserError
from robench.base.text import one_line, reason
from robench.cli import slurm
from robench.run import sweeps

if TYPE_CHECKING:
    from hydra.types import HydraContext

PART = "ROBENCH_PART"
"""The environment variable that tells a job which part of its sweep's plan it is."""
OVERRIDE = f"+hydra.job.env_set.{PART}="
SECONDS_BETWEEN = 5.0
"""Between two questions to a cluster."""


def for_part(overrides: Sequence[str], part: str) -> list[str]:
    """The overrides by which Hydra launches a part of the plan."""
    return [*overrides, f"{OVERRIDE}'{part}'"]


def _part_of(overrides: Sequence[str]) -> str:
    return next(one for one in overrides if one.startswith(OVERRIDE))[len(OVERRIDE) :].strip("'")


def adapted(launcher: Launcher) -> Launcher:
    """The launcher, with what it lacks where it is one of submitit or Ray."""
    added = {"SlurmLauncher": OnSlurm, "LocalLauncher": Submitted, "RayLauncher": OnRay}
    own = type(launcher)
    if own.__name__ not in added or not own.__module__.startswith("hydra_plugins."):
        return launcher
    made: Launcher = object.__new__(type(own.__name__, (added[own.__name__], own), {}))
    vars(made).update(vars(launcher))
    return made


def exit_failed(done: JobReturn) -> JobReturn:
    """Let the engine see that a job failed: its process ends with status 2."""
    if done.status is JobStatus.FAILED:
        raise SystemExit(2)
    return done


class Submitted:
    """A launcher of submitit that waits until every job has ended, however it did."""

    CLUSTER = "local"
    params: dict[str, Any]
    config: Any

    def __call__(self, *given: Any) -> JobReturn:
        """Called where the job runs."""
        done: JobReturn = super().__call__(*given)  # type: ignore[misc]
        return exit_failed(done)

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Submit the jobs, as an array where there are several, and wait for all.

        Interrupted, it cancels what is left of them.
        """
        folder = Path(str(self.config.hydra.sweep.dir))
        given = [
            (list(one), "hydra.sweep.dir", initial_job_idx + number, "", Singleton.get_state())
            for number, one in enumerate(job_overrides)
        ]
        jobs = self._executor().map_array(self, *zip(*given, strict=True))
        submitted = dict(zip(map(_part_of, job_overrides), jobs, strict=True))
        try:
            self._wait(folder, submitted)
        except KeyboardInterrupt:
            left = [part for part in submitted if sweeps.read_end(folder, part) is None]
            self._cancel([submitted[part] for part in left])
            for part in left:
                sweeps.leave_lost(folder, part, "the sweep was interrupted")
            raise
        return []

    def _executor(self) -> Any:
        import submitit
        from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf

        params, cluster = dict(self.params), self.CLUSTER
        folder = params.pop("submitit_folder")
        own = {f"{cluster}_{n}": params.pop(n) for n in ("max_num_timeout",) if n in params}
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster, **own)
        shared = vars(BaseQueueConf())
        executor.update_parameters(
            **{n if n in shared else f"{cluster}_{n}": value for n, value in params.items()}
        )
        return executor

    def _wait(self, folder: Path, jobs: Mapping[str, Any]) -> None:
        for part, job in jobs.items():
            job.wait()
            if sweeps.read_end(folder, part) is None:
                sweeps.leave_lost(
                    folder, part, f"its process ended without a word, {job.state.lower()}"
                )

    def _cancel(self, jobs: Sequence[Any]) -> None:
        for job in jobs:
            job.cancel(check=False)


class OnSlurm(Submitted):
    """A launcher on Slurm, which asks the queue what became of a job, not the accounting."""

    CLUSTER = "slurm"

    def _wait(self, folder: Path, jobs: Mapping[str, Any]) -> None:
        left = {part: str(job.job_id) for part, job in jobs.items()}
        slurm.keep_jobs(folder, left)
        told: list[str] = []
        while left:
            time.sleep(SECONDS_BETWEEN)
            words = slurm.words_of(left) or {}
            if (held := slurm.held(words)) != told:
                told = held
                slurm.print_held(held)
            for part in [part for part, word in words.items() if slurm.state_of(word) == "lost"]:
                del left[part]
                if not _noted(folder, part):
                    sweeps.leave_lost(folder, part, f"Slurm: {words[part]}")

    def _cancel(self, jobs: Sequence[Any]) -> None:
        ids = [str(job.job_id) for job in jobs]
        if not slurm.cancel(ids):
            told = f"jobs may be left in Slurm's queue; end them with scancel {' '.join(ids)}"
            print(told, file=sys.stderr)


def _noted(folder: Path, part: str) -> bool:
    """Whether a job that ended left a note: a shared folder may show it some seconds later."""
    for _ in range(2):
        if sweeps.read_end(folder, part):
            return True
        time.sleep(SECONDS_BETWEEN)
    return False


class OnRay:
    """A launcher on Ray that waits until every job has ended, however it did."""

    ray_cfg: Any
    config: Any
    hydra_context: Any
    task_function: Any

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Hand the jobs to a cluster, or to an instance of their own, and wait for all."""
        import ray
        from omegaconf import OmegaConf, open_dict

        plain: Any = OmegaConf.to_container(self.ray_cfg, resolve=True)
        options = plain["remote"]
        if not ray.is_initialized():
            reach(ray.init, plain["init"])
        remote = ray.remote(**options)(run_on_ray) if options else ray.remote(run_on_ray)
        jobs = {}
        for number, overrides in enumerate(job_overrides):
            loader = self.hydra_context.config_loader
            composed = loader.load_sweep_config(self.config, list(overrides))
            with open_dict(composed):
                composed.hydra.job.id = composed.hydra.job.num = initial_job_idx + number
            given = (self.hydra_context, composed, self.task_function, Singleton.get_state())
            jobs[_part_of(overrides)] = remote.remote(*given)
        self._wait(Path(str(self.config.hydra.sweep.dir)), jobs, ray.get)
        return []

    def _wait(self, folder: Path, jobs: Mapping[str, Any], get: Callable[[Any], Any]) -> None:
        for part, job in jobs.items():
            try:
                get(job)
            except Exception as error:  # of the job, of its worker, or of the cluster
                if sweeps.read_end(folder, part) is None:
                    sweeps.leave_lost(folder, part, f"Ray: {reason(error)[:400]}")


def reach(init: Callable[..., Any], settings: Mapping[str, Any]) -> None:
    """Start or join a Ray.

    Raises:
        UserError: None answers at the address.
    """
    try:
        init(**settings)
    except ConnectionError as error:
        raise UserError(
            f"expected a Ray that answers at {settings.get('address')}, got: {one_line(error)}; "
            "where it asks for a token, set RAY_AUTH_MODE=token"
        ) from error


def run_on_ray(
    context: HydraContext, composed: Any, task: Callable[[Any], Any], state: dict[Any, Any]
) -> None:
    """Run one job in a worker of Ray; raises what failed it, so that Ray shows it as failed."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.utils import run_job, setup_globals

    setup_globals()
    Singleton.set_state(state)
    HydraConfig.instance().set_config(composed)
    done = run_job(
        hydra_context=context,
        task_function=task,
        config=composed,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
    _ = done.return_value
