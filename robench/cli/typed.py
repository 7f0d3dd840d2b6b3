"""What is typed after `robench run`, read before Hydra sees it: mistakes are said in our words."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override
from hydra.errors import HydraException

from robench.base.errors import ConfigError
from robench.base.files import MAX_NAME
from robench.base.paths import expand_home
from robench.base.text import shortened, suggestion
from robench.plugin.registry import registry
from robench.run.compose import SETTINGS, SEVERAL, Root

FLAGS = {
    "-m": "",
    "--multirun": "",
    "--dry-run": "dry_run=true",
    "--json": "json=true",
    "--quiet": "quiet=true",
    "--again": "again=true",
    "--cfg": "",
    "--hydra-help": "",
    "--config-dir": "",
}
"""Flags of `robench run`, and the setting that one of our own stands for."""
SAID = [flag for flag in FLAGS if flag not in ("--multirun", "--hydra-help")]
VALUED = ("--cfg", "--config-dir")
"""Flags with a value after them."""
FOLDERS = ("results", "cache", "data_root")
"""Settings that a record does not keep; any text is a path."""
SWEEP_FOLDER = "hydra.sweep.dir"
"""Hydra's own setting for what is a folder, too."""
PRESETS = ("experiment", "sweep", "profile")
"""Groups that name no part of a run's configuration."""
ASKED = ("dry_run", "json", "quiet", "again")
"""Settings that flags stand for."""
GROUPS = (*SEVERAL, *SETTINGS, *PRESETS, "protocol")
"""Everything that takes choices."""
ALONE = ("dataset", "model", "compressor")
"""Groups of which a run has one choice."""
WITHIN = 3
"""Dots of a key within an option: kind.choice.option.key."""
SPARE = re.compile(r",(?=[\])}])")
"""A comma with nothing after it."""
CLOSING = {"[": "]", "{": "}", "(": ")"}


def for_hydra(arguments: Sequence[str]) -> list[str]:
    """The arguments as Hydra takes them, flags first; raises ConfigError for what is no setting."""
    read = list(_read(list(arguments)))
    _require_once(arguments)
    flags = [one for is_flag, one in read if is_flag]
    settings = [one for is_flag, one in read if not is_flag]
    if {"-m", "--multirun"} & set(flags):
        # An option of what only some jobs have must not be asked of the plan they are made from.
        settings = [_of_each_job(one) for one in settings]
    elif not flags and not any(one.startswith((*PRESETS, "hydra")) for one in settings):
        # Only a preset makes a sweep by itself: else Hydra need not compose twice to see it.
        flags = ["--run"]
    return [*flags, *settings]


def command(arguments: Sequence[str]) -> str:
    """The command line of these arguments after `robench run`, to be copied."""
    return shlex.join(["robench", "run", *arguments])


def known_settings() -> list[str]:
    """Everything that may stand before a `=` on its own."""
    own = [f"--{one.name}".replace("_", "-") for one in fields(Root)]
    named = [one.name for one, flag in zip(fields(Root), own, strict=True) if flag not in FLAGS]
    return [*named, *PRESETS]


def _read(arguments: list[str]) -> Iterator[tuple[bool, str]]:
    """Whether each belongs to a flag, and what Hydra is told."""
    after_flag = False
    for place, argument in enumerate(arguments):
        if after_flag:
            after_flag = False
            yield True, argument
        elif argument.startswith("-"):
            told = _flag(arguments, place)
            after_flag = argument in VALUED
            yield told.startswith("-"), told
        elif "=" not in argument or argument.startswith("="):
            raise ConfigError(_no_setting(arguments, place))
        else:
            yield False, _setting(arguments, place)


def _require_once(arguments: Sequence[str]) -> None:
    """Raise ConfigError for a group that is chosen twice: Hydra would take the last alone."""
    given: dict[str, list[str]] = {}
    for name, _, value in (argument.partition("=") for argument in arguments):
        if name in (*SEVERAL, *SETTINGS, "protocol"):
            given.setdefault(name, []).append(value)
    for name, values in given.items():
        choices = dict.fromkeys(one for value in values for one in value.strip("[]").split(","))
        if len(values) < 2 or len(choices) < 2:
            continue
        listed = ",".join(choices)
        flags = [] if {"-m", "--multirun"} & set(arguments) else ["-m"]
        each = command([*flags, *_instead(arguments, name, listed)])
        text = f"expected {name}= once, got {' and '.join(values)}; a run each: {each}"
        if name in SEVERAL and name not in ALONE:
            whole = [one for one in arguments if one not in ("-m", "--multirun")]
            text += f", one run of all: {command(_instead(whole, name, f'[{listed}]'))}"
        raise ConfigError(text)


def _instead(arguments: Sequence[str], name: str, value: str) -> list[str]:
    """The arguments with one value of a setting, in the place of the first."""
    told = [f"{name}={value}" if one.partition("=")[0] == name else one for one in arguments]
    return list(dict.fromkeys(told))


def _of_each_job(setting: str) -> str:
    """An option of a component as a sweep over one value."""
    name, _, value = setting.partition("=")
    kind, _, option = name.partition(".")
    given = _parsed(setting) if kind in SEVERAL and "." in option else None
    alone = given is not None and not given.is_sweep_override()
    return f"{name}=choice({value})" if alone else setting


def _flag(arguments: list[str], place: int) -> str:
    argument = arguments[place]
    name, _, value = argument.partition("=")
    if name in VALUED:
        _check_value(name, value or " ".join(arguments[place + 1 : place + 2]))
    if name in FLAGS:
        return FLAGS[name] or argument
    setting = name.lstrip("-").replace("-", "_")
    if setting.split(".")[0] in known_settings():
        value = value or " ".join(arguments[place + 1 : place + 2])
        raise ConfigError(
            f"expected {setting}={value or 'VALUE'}, got {argument!r}: settings have no dashes"
        )
    raise ConfigError(
        f"expected a flag of robench run ({', '.join(SAID)}), got {argument!r}"
        + suggestion(name, FLAGS)
    )


def _check_value(flag: str, value: str) -> None:
    if flag == "--cfg" and value != "job":
        raise ConfigError(f"expected --cfg job, got {value or 'nothing'!r}")
    if flag == "--config-dir" and not (value and Path(value).is_dir()):
        raise ConfigError(f"expected --config-dir to name a folder of presets, got {value!r}")


def _no_setting(arguments: list[str], place: int) -> str:
    """What is said of an argument that sets nothing: what it most likely was to be."""
    word = arguments[place]
    before, after = arguments[:place], arguments[place + 1 :]
    got = f"expected GROUP=CHOICE or GROUP.CHOICE.OPTION=VALUE, got {word!r}"
    if after and after[0].startswith("="):
        value = after[0][1:] or " ".join(after[1:2])
        return f"{got}; write {word}={value} without spaces"
    if before and _opened(before[-1]):
        return f"{got}; write {shlex.quote(before[-1] + word)} without spaces"
    if before and before[-1].partition("=")[0] in FOLDERS:
        return f'{got}; write "{before[-1]} {word}" in quotes'
    if word.lstrip("+~") in known_settings():
        name = word.lstrip("+~")
        if word.startswith("~"):
            return f"{got}; {name}=[] chooses nothing"
        return f"{got}; write {name}={after[0] if after else 'CHOICE'}"
    groups = [kind for kind, choices in registry().choices.items() if word in choices]
    if groups:
        return f"{got}; did you mean {groups[0]}={word}?"
    every = {name: kind for kind, own in registry().choices.items() for name in own}
    near = suggestion(word, [*every, *known_settings()])
    return got + (near or "; robench run --help lists the groups")


def _opened(argument: str) -> bool:
    return any(argument.count(opening) > argument.count(end) for opening, end in CLOSING.items())


def _setting(arguments: list[str], place: int) -> str:
    argument = arguments[place]
    name, _, value = argument.partition("=")
    if max(len(name), len(value) if "/" in name else 0) > MAX_NAME:
        raise ConfigError(
            f"expected GROUP=CHOICE or GROUP.CHOICE.OPTION=VALUE, got {shortened(argument)!r}"
        )
    if name == SWEEP_FOLDER and value.startswith("~"):
        return f"{name}={expand_home(value)}"
    if name.startswith("hydra"):
        return argument
    bare = name.lstrip("+~")
    if (flag := f"--{bare}".replace("_", "-")) in FLAGS:
        raise ConfigError(f"expected the flag {flag}, got {argument!r}")
    if bare.count(".") >= WITHIN and not name.startswith("~"):
        # What stands within an option is free, so Hydra takes it only as something new.
        return _quoted(f"++{bare}", value, arguments[place + 1 :])
    if bare != name:
        known = known_settings()
        if bare.split(".")[0] not in known:
            raise ConfigError(f"expected a setting, got {argument!r}" + suggestion(bare, known))
        wanted = f"{bare}={value}" if name.startswith("+") else f"{bare}=[]"
        raise ConfigError(f"expected {wanted}, got {argument!r}")
    if bare != bare.strip() or value != value.strip():
        raise ConfigError(
            f"expected {bare.strip()}={value.strip()} without spaces, got {argument!r}"
        )
    if name in GROUPS and value.startswith(("{", "(")):
        raise ConfigError(f"expected {name}=CHOICE or {name}=[CHOICE,CHOICE], got {argument!r}")
    if not value and "." not in name:
        raise ConfigError(
            f"expected a value after {argument}, got nothing"
            + (f"; robench plugins {name} lists the choices" if name in SEVERAL else "")
        )
    return _quoted(name, value, arguments[place + 1 :])


def _quoted(name: str, value: str, after: list[str]) -> str:
    """A setting in Hydra's grammar: a path is one text, whatever stands in it."""
    if name in FOLDERS and value.startswith("~"):
        value = str(expand_home(value))
    typed = f"{name}={value}"
    if name not in FOLDERS and (read := _parsed(typed)):
        _check_choices(name, typed, read)
        return typed
    if name not in FOLDERS and _opened(value):
        end = "".join(CLOSING[one] for one in "[{(" if value.count(one) > value.count(CLOSING[one]))
        whole = " ".join([typed, *after[:1]]) if after and "=" not in after[0] else typed + end
        hint = shlex.quote(whole.replace(" ", ""))
        raise ConfigError(f"expected a {end} for every bracket, got {typed!r}; write {hint}")
    mended = SPARE.sub("", typed)
    if mended != typed and _parsed(mended):
        hint = shlex.quote(mended)
        raise ConfigError(f"expected no comma before a bracket closes, got {typed!r}; write {hint}")
    if value[:1] in "'\"" and _parsed(typed):
        return typed
    text = value.replace("\\", "\\\\").replace("'", "\\'")
    if (name in FOLDERS or not set(value) & set("[]{}()'\",")) and _parsed(f"{name}='{text}'"):
        return f"{name}='{text}'"
    raise ConfigError(
        f"expected {name}=VALUE, got {typed!r}, which cannot be read; put single quotes around a "
        "text with brackets, commas or quotes in it"
    )


def _parsed(argument: str) -> Override | None:
    """An argument in Hydra's grammar; None for what it cannot read."""
    try:
        return OverridesParser.create().parse_override(argument)
    except HydraException:
        return None


def _check_choices(name: str, typed: str, read: Override) -> None:
    """Refuse lists within lists, and a choice twice in one; raises ConfigError."""
    if name not in GROUPS:
        return
    value = read.value()
    for one in value.list if isinstance(value, ChoiceSweep) else [value]:
        names = [str(text) for text in one] if isinstance(one, list) else [str(one)]
        if long := next((text for text in names if len(text) > MAX_NAME), None):
            raise ConfigError(
                f"expected {name}=CHOICE, got {shortened(long)!r}; robench run --help lists them"
            )
        if foreign := next((text for text in names if "${" in text), None):
            raise ConfigError(
                f"expected {name}=CHOICE, got {foreign!r}: choices are named, not read"
            )
        if isinstance(one, list) and any(isinstance(text, list | dict) for text in one):
            raise ConfigError(f"expected {name}=CHOICE or {name}=[CHOICE,CHOICE], got {typed!r}")
        if len(set(names)) < len(names):
            twice = next(text for text in names if names.count(text) > 1)
            raise ConfigError(f"expected each choice of {name} once, got {twice} twice")
