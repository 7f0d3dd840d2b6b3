"""Help made from the registered components: their docstrings and options are the text."""

from __future__ import annotations

from robench.base.errors import ConfigError
from robench.plugin.components import KINDS
from robench.plugin.options import options, summary
from robench.plugin.registry import Choice, registry, suggestion

USAGE = """\
usage: robench run [-m] [GROUP=CHOICE ...] [GROUP.CHOICE.OPTION=VALUE ...] [FLAG ...]

One run from configuration to record; with -m a sweep over comma-separated values.

  robench run defense=adversarial_training attack=pgd
  robench run attack=[fgsm,pgd,cw] attack.pgd.steps=100 threat.eps=8/255
  robench run -m defense=none,gaussian_training compressor=none seed=0,1,2
  robench run experiment=NAME        a preset; robench run sweep=NAME a named grid

flags:
  -m            sweep: every combination of comma-separated values is one job
  --dry-run     print the checked plan and the run's id, run nothing
  --cfg job     print the composed configuration
  --json        print the record instead of the table
  --hydra-help  the flags of Hydra, which composes the run

settings:
  seed=0 images=N (a stratified subset of the test images) device=auto threads=N
  results=DIR cache=DIR data_root=DIR, or ROBENCH_RESULTS, ROBENCH_CACHE, ROBENCH_DATA
  threat.norm, threat.eps, threat.grid; train.epochs, train.lr, ... (robench plugins train)
  access=white_box|transfer|[white_box,transfer]; audit=off|quick|full

choices:"""


def print_run_help() -> None:
    """Print the help of `robench run`."""
    print(USAGE)  # noqa: T201
    for kind, choices in registry().choices.items():
        print(f"  {kind:<12}{', '.join(sorted(choices))}")  # noqa: T201
    print("\n`robench plugins KIND` lists their options.")  # noqa: T201


def print_plugins(kind: str | None) -> None:
    """Print every choice (of a kind) with its origin, and its options when a kind is named."""
    if kind in ("train", "threat"):
        _print_settings(kind)
        return
    if kind is not None and kind not in KINDS:
        known = [*KINDS, "train", "threat"]
        raise ConfigError(
            f"expected a kind among {', '.join(known)}, got {kind!r}" + suggestion(kind, known)
        )
    for name, choices in registry().choices.items():
        if kind in (None, name):
            print(f"{name}:")  # noqa: T201
            for choice in sorted(choices.values(), key=lambda c: c.name):
                _print_choice(choice, details=kind is not None)


def _print_choice(choice: Choice, *, details: bool) -> None:
    origin = f"{choice.distribution} {choice.version}"
    print(f"  {choice.name:<22}{summary(choice.component)}  [{origin}]")  # noqa: T201
    if details:
        for option in options(choice.component):
            left = f"{choice.kind}.{choice.name}.{option.name}={_text(option.default)}"
            print(f"      {left:<48}{option.help}")  # noqa: T201


def _print_settings(group: str) -> None:
    from robench.core.threat import ThreatConfig
    from robench.training.recipe import Recipe

    shown = options(Recipe) if group == "train" else options(ThreatConfig)
    for option in shown:
        print(f"  {group}.{option.name}={_text(option.default):<20}{option.help}")  # noqa: T201


def _text(value: object) -> str:
    return "null" if value is None else str(value)
