"""`robench run` behind Hydra: compose what the command line says, run each job, and report."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from robench.base.errors import ConfigError, UserError
from robench.base.machine import resume_collector
from robench.base.paths import shipped
from robench.base.progress import be_quiet
from robench.base.text import one_line, suggestion
from robench.cli.sweep import Job, Summary, leave_note, print_jobs, print_plan, read_notes
from robench.cli.terminal import print_line
from robench.cli.typed import ALONE, FOLDERS, PRINTED, command, for_hydra, known_settings
from robench.plugin.registry import registry
from robench.plugin.typed import option_types
from robench.run.compose import SETTINGS, SEVERAL, origin_of_preset, prepare, run_config
from robench.run.config import RunConfig

CHOICE = re.compile(
    r"Could not (?:find|load) '([^']+)/([^'/]+)'(?:\.|\s+Available options in [^:]+:)"
)
SETTING = re.compile(r"Could not (?:override|append|delete)[^']*'([^']+)'")
SWEEP = re.compile(
    r"(?:Ambiguous value for argument|Sweep parameters) '([^'=]+)=(.*?)'(?: requires|\s1\.)"
)
REFERENCE = re.compile(r"(?:Interpolation key|Error resolving interpolation) '([^']*)'")
VARIABLE = re.compile(r"Environment variable '([^']*)' not found")
"""How Hydra's errors begin that are said in our words."""
HYDRAS = re.compile(
    r"(?i)\s*(See https?://\S*hydra\S*.*|full_key: .*|Config search path:.*|To append to your.*|"
    r"Set the environment variable HYDRA_FULL_ERROR.*)"
)
"""What its other errors end with: words about itself."""


def launch(arguments: Sequence[str]) -> int:
    """Run Hydra on the arguments after `robench run`; returns the exit status."""
    # Hydra would otherwise print and exit by itself; the command line reports errors its own way.
    os.environ["HYDRA_FULL_ERROR"] = "1"
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

    Summary.last = None
    try:
        app(job)()
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        raise ConfigError(_in_our_words(error, arguments)) from error
    if failed:
        raise failed[0]
    if Summary.last is None:
        return 0
    jobs = read_notes(Summary.last)
    if "--quiet" not in arguments:
        print_jobs(jobs, json="--json" in arguments)
    return 2 if any(job.error for job in jobs) else 0


def _job(composed: DictConfig) -> None:
    """One composed run; in a sweep bad input is noted and the other jobs go on."""
    context = HydraConfig.get()
    # As typed: reading the list itself would put what ${oc.env:...} says into the record.
    typed: list[str] = OmegaConf.to_container(context.overrides.task, resolve=False)  # type: ignore[assignment]
    # Where files lie, and what is printed, decides no number, and is nobody else's business.
    overrides = tuple(one for one in typed if one.partition("=")[0] not in (*FOLDERS, *PRINTED))
    if context.mode != RunMode.MULTIRUN:
        if plan := _single(composed, overrides).plan:
            print_plan(plan, json=composed.json)
        return
    notes, number = Path(context.sweep.dir), int(context.job.num)
    try:
        leave_note(notes, number, _single(composed, overrides))
    except Exception as error:
        reason = one_line(error if isinstance(error, UserError) else f"internal error, {error!r}")
        print(f"job {number} failed: {reason}", file=sys.stderr)
        leave_note(notes, number, Job(overrides, error=reason))


def _single(composed: DictConfig, overrides: tuple[str, ...]) -> Job:
    """Run what is composed and print its record, or plan it."""
    try:
        config, places = run_config(composed)
    except OmegaConfBaseException as error:
        raise ConfigError(_in_our_words(error, ())) from error
    _refuse_foreign_code(config, overrides)
    # Torch loads only here: bad input needs none.
    if composed.quiet:
        be_quiet()
    resume_collector()
    if composed.dry_run:
        from robench.run.planned import planned

        return Job(overrides, plan=planned(config, places).plain(config, places))
    from robench.cli.record_table import print_record
    from robench.run.pipeline import run

    record, folder = run(config, places, overrides)
    if composed.quiet:
        print_line(str(folder))
    else:
        print_record(record, folder, json=composed.json)
    return Job(overrides, record=str(folder))


def _refuse_foreign_code(config: RunConfig, overrides: tuple[str, ...]) -> None:
    """A user's own module may only be named on their own command line, never by a preset."""
    if "python" in config.model and not any(o.startswith("model.python.spec=") for o in overrides):
        raise ConfigError(
            "expected model.python.spec=module:function on the command line; a preset may not "
            "name code"
        )


def _in_our_words(error: Exception, arguments: Sequence[str]) -> str:
    whole = _with_cause(error)
    text = _unknown_choice(error) or _unknown_setting(error) or _unasked_sweep(whole, arguments)
    if found := REFERENCE.search(whole):
        text = f"expected a reference to a setting that is there, got {found[1]!r}"
    elif found := VARIABLE.search(whole):
        text = f"expected the environment variable {found[1]}, got none of that name"
    return (text or HYDRAS.sub("", whole)) + origin_of_preset(whole)


def _unasked_sweep(error: str, arguments: Sequence[str]) -> str:
    """What is said of several values of a setting without -m; nothing for another error."""
    found = SWEEP.search(error)
    if not found:
        return ""
    name, values = found.groups()
    text = (
        f"expected one value of {name}, got {values!r}; a run each: {command(['-m', *arguments])}"
    )
    if name in SEVERAL and name not in ALONE and re.fullmatch(r"[\w,-]+", values):
        listed = [f"{name}=[{values}]" if a == f"{name}={values}" else a for a in arguments]
        text += f", one run of all: {command(listed)}"
    return text


def _unknown_choice(error: Exception) -> str:
    """What is said of a choice that a group has not; nothing for another error."""
    found = CHOICE.search(str(error))
    if not found:
        return ""
    group, name = found.groups()
    listed, _, _ = str(error)[found.end() :].partition("Config search path")
    known = listed.split() or sorted(registry().choices.get(group, ()))
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
    if name in known:
        kind, _, choice = above.partition(".")
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


def _with_cause(error: Exception) -> str:
    """Hydra's and OmegaConf's messages span lines; the choices they list are worth keeping."""
    text = one_line(error)
    cause = one_line(error.__cause__ or "")
    return f"{text} ({cause})" if cause not in text else text
