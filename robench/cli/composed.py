"""What Hydra composed for one job, checked: a run, its places, and what was typed for it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from robench.base.errors import ConfigError
from robench.base.text import one_line
from robench.cli.typed import ASKED, FOLDERS
from robench.run.compose import norm_of, origin_of_preset, run_config
from robench.run.config import Places, RunConfig
from robench.run.plan import check_packages

STEP = re.compile(r"(attack\.\w+\.step)=([0-9]+)")
"""The size of an attack's steps as it is typed."""
LARGE_STEP = 10
"""From here on a size of steps, typed without their number, is taken for that number."""
REFERENCE = re.compile(r"(?:Interpolation key|Error resolving interpolation) '([^']*)'")
VARIABLE = re.compile(r"Environment variable '([^']*)' not found")
"""How errors of OmegaConf begin that are said in our words."""
HYDRAS = re.compile(
    r"(?i)\s*(See https?://\S*hydra\S*.*|full_key: .*|Config search path:.*|To append to your.*|"
    r"Set the environment variable HYDRA_FULL_ERROR.*)"
)
"""What its other errors end with: words about Hydra."""


def checked_run(composed: DictConfig, overrides: Sequence[str]) -> tuple[RunConfig, Places]:
    """The run that is composed, and its places; raises ConfigError for what cannot run."""
    try:
        config, places = run_config(composed)
    except OmegaConfBaseException as error:
        raise ConfigError(in_our_words(error)) from error
    check_packages(config)
    _refuse_foreign_code(config, overrides)
    _refuse_foreign_sizes(config, overrides)
    _refuse_large_steps(overrides)
    return config, places


def typed(overrides: DictConfig | Sequence[str]) -> tuple[str, ...]:
    """What was typed for a job and is kept with it.

    Where files lie, and what is printed, decides no number, and is nobody else's business.
    """
    # As typed: reading a list of OmegaConf's would put what ${oc.env:...} says into the record.
    plain: Iterable[str] = (
        OmegaConf.to_container(overrides, resolve=False)  # type: ignore[assignment]
        if OmegaConf.is_config(overrides)
        else overrides
    )
    return tuple(one for one in plain if one.partition("=")[0] not in (*FOLDERS, *ASKED))


def in_our_words(error: Exception, text: str = "") -> str:
    """What is said of an error of Hydra or OmegaConf: `text` where it is known, else its own."""
    whole = with_cause(error)
    if found := REFERENCE.search(whole):
        text = f"expected a reference to a setting that is there, got {found[1]!r}"
    elif found := VARIABLE.search(whole):
        text = f"expected the environment variable {found[1]}, got none of that name"
    return (text or HYDRAS.sub("", whole)) + origin_of_preset(whole)


def with_cause(error: Exception) -> str:
    """Hydra's and OmegaConf's messages span lines; the choices they list are worth keeping."""
    text = one_line(error)
    cause = one_line(error.__cause__ or "")
    return f"{text} ({cause})" if cause not in text else text


def _refuse_foreign_code(config: RunConfig, overrides: Sequence[str]) -> None:
    """A user's own module may only be named on their own command line, never by a preset."""
    if "python" in config.model and not any(o.startswith("model.python.spec=") for o in overrides):
        raise ConfigError(
            "expected model.python.spec=module:function on the command line; a preset may not "
            "name code"
        )


def _refuse_foreign_sizes(config: RunConfig, overrides: Sequence[str]) -> None:
    """A norm that is typed alone would take over the sizes that a defense brings for its own."""
    sized = any(one.startswith(("threat.eps=", "threat=", "protocol=")) for one in overrides)
    if sized or not any(one.startswith("threat.norm=") for one in overrides):
        return
    for name, defense in config.defense.items():
        norm = norm_of(defense.brings.get("threat"))
        if norm not in (None, config.threat.norm):
            raise ConfigError(
                f"expected threat.eps with threat.norm={config.threat.norm}, got none: "
                f"defense={name} brings sizes in {norm}; add threat=usual for the data set's"
            )


def _refuse_large_steps(overrides: Sequence[str]) -> None:
    """A size of steps that is large for the usual number of them was to be that number."""
    for found in filter(None, map(STEP.fullmatch, overrides)):
        name, size = found[1], int(found[2])
        if size >= LARGE_STEP and not any(one.startswith(f"{name}s=") for one in overrides):
            raise ConfigError(
                f"expected {name}s with {name}={size}, a size in units of eps / steps, got none; "
                f"did you mean {name}s={size}?"
            )
