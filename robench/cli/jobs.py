"""The jobs of a sweep: every combination of its values, without options of what a job has not.

Hydra reads the module of its sweepers anew when it looks for plugins: import this one after that.
"""

from __future__ import annotations

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.plugins import Plugins

from robench.run.compose import SEVERAL


class Jobs(BasicSweeper):
    """All combinations of a sweep's values, each once; a job leaves out options of what it has not.

    So `defense=none,mulaw defense.mulaw.mu=64,255` is one job of `none` and two of `mulaw`.
    """

    def get_job_batch(self) -> list[list[str]]:
        """The overrides of the next jobs."""
        batch: list[list[str]] = [list(job) for job in super().get_job_batch()]
        chosen = [self._chosen(job) for job in batch]
        somewhere = set().union(*chosen)
        jobs = [
            tuple(one for one in job if (of := _option_of(one)) in own or of not in somewhere)
            for job, own in zip(batch, chosen, strict=True)
        ]
        return [list(job) for job in dict.fromkeys(jobs)]

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


def _option_of(override: str) -> tuple[str, str] | None:
    """The component that an override sets an option of: (kind, choice)."""
    kind, _, below = override.partition("=")[0].lstrip("+").partition(".")
    choice, _, option = below.partition(".")
    return (kind, choice) if kind in SEVERAL and option else None


def use_jobs() -> None:
    """Let Hydra make the jobs of its own sweeper so; that of a plugin stays what it is."""
    # Hydra takes sweepers from its own namespace alone, so this one stands under its own's name.
    name = f"{BasicSweeper.__module__}.{BasicSweeper.__name__}"
    Plugins.instance().class_name_to_class[name] = Jobs
