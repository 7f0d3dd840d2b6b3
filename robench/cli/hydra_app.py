"""`robench run` behind Hydra: compose what the command line says, run each job, and report."""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from robench.base.errors import ConfigError, UserError
from robench.base.machine import resume_collector
from robench.base.paths import expand_home, shipped
from robench.base.progress import be_quiet
from robench.base.signals import stopped_by_signals
from robench.base.text import one_line, reason, suggestion
from robench.cli.composed import checked_run, in_our_words, typed, with_cause
from robench.cli.launchers import PART
from robench.cli.slurm import states_of, words_in
from robench.cli.standings import print_foreseen, print_plan, print_standings
from robench.cli.terminal import print_line, print_prose
from robench.cli.typed import ALONE, command, for_hydra, known_settings
from robench.plugin.registry import registry
from robench.plugin.typed import option_types
from robench.run import sweeps
from robench.run.compose import SETTINGS, SEVERAL, prepare
from robench.run.config import Places

CHOICE = re.compile(
    r"Could not (?:find|load) '([^']+)/([^'/]+)'(?:\.|\s+Available options in [^:]+:)"
)
SETTING = re.compile(r"Could not (?:override|append|delete)[^']*'([^']+)'")
SWEEP = re.compile(
    r"(?:Ambiguous value for argument|Sweep parameters) '([^'=]+)=(.*?)'(?: requires|\s1\.)"
)
"""How Hydra's errors begin that are said in our words."""
DECIMAL = re.compile(r"0,[0-9]{2,}")
"""A number below 1 as much of the world writes it; 0,1 may as well be two seeds."""
ENGINES = {
    "slurm": "submitit",
    "submitit_slurm": "submitit",
    "submitit_local": "submitit",
    "ray": "ray",
    "joblib": "joblib",
}
"""Launchers, and the extra of robench that each needs."""
SAME_NAME = r"\s*'hydra/launcher/ray' is validated against ConfigStore schema"
"""Hydra's warning that a preset bears the name of a plugin's own: ours does, and says as much."""
FOLDERS = ("ROBENCH_RESULTS", "ROBENCH_CACHE", "ROBENCH_DATA")
"""What names folders in the environment."""
AT_ONCE = ("JoblibLauncher", "LocalLauncher")
"""The launchers that run several jobs at once on one machine, and give them no share of it."""


def launch(arguments: Sequence[str]) -> int:
    """Run Hydra on the arguments after `robench run`; returns the exit status."""
    # Hydra would otherwise print and exit by itself; the command line reports errors its own way.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    # Hydra reads them itself, for the folder of a sweep.
    os.environ.update({n: str(expand_home(os.environ[n])) for n in FOLDERS if n in os.environ})
    _require_engine(arguments)
    prepare()
    from robench.cli.jobs import use_jobs

    use_jobs()
    sys.argv = ["robench run", *for_hydra(arguments)]
    app = hydra.main(version_base="1.3", config_path=str(shipped("conf")), config_name="config")
    failed: list[Exception] = []

    def job(composed: DictConfig) -> None:
        # Hydra prints words of its own about an error that passes through it.
        try:
            _job(composed)
        except Exception as error:
            failed.append(error)
            if PART in HydraConfig.get().job.env_set:
                raise  # shown to the sweep's engine

    Summary.last = None
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", SAME_NAME)
            app(job)()
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        text = _unknown_choice(error) or _unknown_setting(error)
        text = text or _unasked_sweep(with_cause(error), arguments)
        raise ConfigError(in_our_words(error, text)) from error
    except KeyboardInterrupt:
        with suppress(UserError):  # where it had no plan yet
            if Summary.last:
                _report(Summary.last, arguments)
        raise
    if Summary.last:
        return _report(Summary.last, arguments)
    if failed:
        raise failed[0]
    return 0


def _require_engine(arguments: Sequence[str]) -> None:
    """Raise ConfigError for a launcher whose engine is not installed: Hydra says nothing useful."""
    chosen = [a.partition("=")[2] for a in arguments if a.startswith("hydra/launcher=")]
    for name in chosen:
        extra = ENGINES.get(name)
        if extra and not _is_there(f"hydra_{extra}_launcher"):
            raise ConfigError(
                f"expected the engine of hydra/launcher={name} to be installed, got none; "
                f"pip install 'robench[{extra}]'"
            )


def _is_there(launcher: str) -> bool:
    """Whether a launcher of Hydra's is installed; without any, not even their namespace is."""
    with suppress(ModuleNotFoundError):
        return find_spec(f"hydra_plugins.{launcher}") is not None
    return False


class Summary(Callback):
    """Remembers where a sweep's notes are; the command line reads them when Hydra is done."""

    last: Path | None = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra in the launching process, before the first job."""
        del kwargs
        Summary.last = Path(config.hydra.sweep.dir)


def _report(folder: Path, arguments: Sequence[str]) -> int:
    """Print how a sweep stands, or what it would do; returns the exit status."""
    from robench.cli.jobs import Jobs

    printed, as_json = "--quiet" not in arguments, "--json" in arguments
    if Jobs.foreseen is not None:
        for number, job in enumerate(Jobs.foreseen):
            if job.error:
                print(f"job {number} failed: {job.error}", file=sys.stderr)
        if printed:
            print_foreseen(Jobs.foreseen, json=as_json)
        return 2 if any(job.error for job in Jobs.foreseen) else 0
    found = sweeps.standings(folder, states_of(words_in(folder)))
    if printed and not as_json:
        print_standings(found)
        if Jobs.trouble:
            print_prose(f"the launcher gave up: {Jobs.trouble}", "red")
        if any(one.state != "done" for one in found):
            print_line(f"robench sweep status {folder}    says so again")
    return 0 if all(one.state == "done" for one in found) else 2


def _job(composed: DictConfig) -> None:
    """One composed run; in a sweep its end is noted. Raises what ended it."""
    context = HydraConfig.get()
    overrides = typed(context.overrides.task)
    if context.mode != RunMode.MULTIRUN:
        if composed.again:
            raise ConfigError("expected --again with -m: a single run is made again anyway")
        _single(composed, overrides)
        return
    folder = Path(context.sweep.dir)
    part = str(context.job.env_set.get(PART, context.job.num))
    with stopped_by_signals(), sweeps.at_work(folder, part):
        try:
            record = _part(composed, overrides, folder, part)
        except Exception as error:
            why = one_line(error if isinstance(error, UserError) else f"internal error, {error!r}")
            print(f"job {part} failed: {why}", file=sys.stderr)
            sweeps.leave_note(folder, part, sweeps.End(overrides, error=why))
            raise
        except BaseException as error:
            sweeps.leave_lost(folder, part, f"stopped: {reason(error)}")
            raise
        sweeps.leave_note(folder, part, sweeps.End(overrides, record=record))


def _part(composed: DictConfig, overrides: tuple[str, ...], folder: Path, part: str) -> str | None:
    """Do one part of a sweep: a job, whose record's id is returned, or a training for several."""
    kind, _, number = part.rpartition("/")
    if kind != sweeps.TRAININGS:
        return _single(composed, overrides, int(number))
    config, places = checked_run(composed, overrides)
    _begin(composed)
    from robench.run.pipeline import train

    train(config, _own_share(places, int(number)), sweeps.read_plan(folder).trainings[int(number)])
    return None


def _single(
    composed: DictConfig, overrides: tuple[str, ...], number: int | None = None
) -> str | None:
    """Run what is composed and print its record, or plan it; returns the record's id."""
    config, places = checked_run(composed, overrides)
    _begin(composed)
    if composed.dry_run:
        from robench.run.planned import planned

        print_plan(planned(config, places).plain(config, places), json=composed.json)
        return None
    from robench.cli.record_table import print_record
    from robench.run.pipeline import run

    if number is not None:
        places = _own_share(places, number)
    record, folder = run(config, places, overrides)
    if composed.quiet:
        print_line(str(folder))
    else:
        print_record(record, folder, json=composed.json)
    return record.id


def _begin(composed: DictConfig) -> None:
    # Torch loads only now: bad input needs none.
    if composed.quiet:
        be_quiet()
    resume_collector()


def _own_share(places: Places, number: int) -> Places:
    """The places of a job beside which others run on the same machine: a GPU of its own."""
    if not str(HydraConfig.get().launcher.get("_target_")).endswith(AT_ONCE):
        return places
    from robench.run.pipeline import spread

    return spread(places, number)


def _unasked_sweep(error: str, arguments: Sequence[str]) -> str:
    """What is said of several values of a setting without -m; nothing for another error."""
    found = SWEEP.search(error)
    if not found:
        return ""
    name, values = found.groups()
    if DECIMAL.fullmatch(values):
        return f"expected {name}={values.replace(',', '.')}, got {values!r}: decimals have a point"
    text = (
        f"expected one value of {name}, got {values!r}; a run each: {command(['-m', *arguments])}"
    )
    listed = name in SEVERAL and name not in ALONE and re.fullmatch(r"[\w,-]+", values)
    if listed or (name.endswith(".eps") and re.fullmatch(r"[\w,./-]+", values)):
        together = [f"{name}=[{values}]" if a == f"{name}={values}" else a for a in arguments]
        text += f", one run of all: {command(together)}"
    return text


def _unknown_choice(error: Exception) -> str:
    """What is said of a choice that a group has not; nothing for another error."""
    found = CHOICE.search(str(error))
    if not found:
        return ""
    group, name = found.groups()
    listed, _, _ = str(error)[found.end() :].partition("Config search path")
    known = listed.split() or sorted(registry().choices.get(group, ()))
    if group == "hydra/launcher":
        known = sorted({*known, *ENGINES})
    among = f" to be one of {', '.join(known)}" if known else ""
    return f"expected {group}{among}, got {name!r}" + suggestion(name, known)


def _unknown_setting(error: Exception) -> str:
    """What is said of a setting that nobody reads; nothing for another error."""
    found = SETTING.search(str(error))
    if not found:
        return ""
    above, _, name = found[1].rpartition(".")
    if above in registry().choices and name in registry().choices[above]:
        return f"expected {found[1]}.OPTION=VALUE, got a value of {found[1]} itself"
    known = _settings(above)
    if not known:
        return f"expected a setting of the run, got {found[1]!r}; robench run --help lists them"
    below = [f"{group}.{name}" for group, cls in SETTINGS.items() if name in option_types(cls)]
    if below and not above:
        return f"expected a setting of the run, got {name!r}; did you mean {below[0]!r}?"
    if name in known:
        kind, _, choice = above.partition(".")
        if kind == "check":
            return (
                f"expected audit.checks=[{choice}], which runs at its defaults, got {name!r} of "
                "it; register it with other options as a preset"
            )
        return f"expected {above} to be chosen, got {name!r} of it; choose it with {kind}={choice}"
    of = f"an option of {above}" if above else "a setting of the run"
    return f"expected {of}, got {name!r}" + suggestion(name, known)


def _settings(above: str) -> Sequence[str]:
    """The names that stand below a group or a component; none where that is not known."""
    kind, _, name = above.partition(".")
    if not above:
        return known_settings()
    if above in SETTINGS:
        return [*option_types(SETTINGS[above])]
    choice = registry().choices.get(kind, {}).get(name)
    return [*option_types(choice.cls)] if choice else []
