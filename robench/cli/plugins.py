"""`robench plugins`: what is installed; docstrings and options of the components are the text."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from robench.base.errors import ConfigError
from robench.base.hashing import plain
from robench.base.text import suggestion, visible
from robench.cli.formats import add_formats, print_json
from robench.cli.main import report_broken

if TYPE_CHECKING:
    from robench.plugin.options import Option
    from robench.plugin.registry import Choice
    from robench.records.protocols import Protocol

PROTOCOL = "protocol"
HELP = "what is installed, with its options"


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument(
        "kind", metavar="KIND", nargs="?", help="dataset, model, defense, ..., protocol"
    )
    add_formats(parser, "json")


def run(options: argparse.Namespace) -> int:
    """Print every choice (of a kind) with its origin, and its options when a kind is named."""
    from robench.plugin.components import KINDS

    report_broken()
    if options.json:
        _print_json(options.kind)
        return 0
    if options.kind is None:
        for kind in KINDS:
            _print_kind(kind, details=False)
        _print_protocols(details=False)
        return 0
    settings = _known(options.kind)
    if options.kind in settings:
        _print_settings(options.kind, settings[options.kind])
    elif options.kind in KINDS:
        _print_kind(options.kind, details=True)
    else:
        _print_protocols(details=True)
    return 0


def _known(kind: str) -> Mapping[str, type]:
    """The groups of settings; raises ConfigError for a kind that is none of these, nor another."""
    from robench.plugin.components import KINDS

    settings = _settings()
    known = [*KINDS, *settings, PROTOCOL]
    if kind not in known:
        raise ConfigError(
            f"expected a kind among {', '.join(known)}, got {kind!r}" + suggestion(kind, known)
        )
    return settings


def _print_json(kind: str | None) -> None:
    """Every choice of a kind, or of all: its summary, origin and options with their defaults."""
    from robench.plugin.components import KINDS
    from robench.plugin.options import options, summary
    from robench.plugin.registry import registry
    from robench.records.protocols import protocols

    settings = _known(kind) if kind else _settings()
    found: dict[str, Any] = {}
    for name in KINDS:
        found[name] = {
            choice.name: {
                "summary": summary(choice.component),
                "distribution": choice.distribution,
                "version": choice.version,
                "options": _options(options(choice.component)),
            }
            for choice in registry().choices[name].values()
        }
    found |= {name: _options(options(holder)) for name, holder in settings.items()}
    found[PROTOCOL] = {name: one.stated for name, one in protocols().items()}
    print_json(found if kind is None else {kind: found[kind]})


def _options(listed: Iterable[Option]) -> dict[str, Any]:
    return {one.name: {"default": plain(one.default), "help": one.help} for one in listed}


def _print_kind(kind: str, *, details: bool) -> None:
    from robench.plugin.registry import registry

    print(f"{kind}:" if registry().choices[kind] else f"{kind}: none is installed")
    for choice in sorted(registry().choices[kind].values(), key=lambda choice: choice.name):
        _print_choice(choice, details=details)


def _print_choice(choice: Choice, *, details: bool) -> None:
    from robench.plugin.options import options, summary

    origin = f"{choice.distribution} {choice.version}"
    own = f" with {changed}" if (changed := _changed(choice)) else ""
    print(visible(f"  {choice.name:<22}{summary(choice.component).rstrip('.')}{own}  [{origin}]"))
    if details:
        before = f"{choice.kind}.{choice.name}."
        _print_options(before, options(choice.component), indent=6)


def _changed(choice: Choice) -> str:
    """What a preset sets otherwise than its class: the difference between fgsm and fgsm_weak."""
    from robench.plugin.options import options

    usual = {one.name: one.default for one in options(choice.cls)}
    own = {one.name: one.default for one in options(choice.component)}
    return ", ".join(f"{name}={_text(v)}" for name, v in own.items() if usual[name] != v)


def _print_options(before: str, listed: Iterable[Option], indent: int) -> None:
    """A line an option, the texts in one column."""
    lines = [(f"{before}{one.name}={_text(one.default)}", one.help) for one in listed]
    longest = max((len(left) for left, _ in lines), default=0)
    for left, text in lines:
        print(visible(f"{' ' * indent}{left:<{longest}}  {text}"))


def _print_protocols(*, details: bool) -> None:
    from robench.records.protocols import protocols

    print(f"{PROTOCOL}:")
    for name, one in sorted(protocols().items()):
        head = f"  {name:<22}{one.title}, version {one.version}: about {one.minutes:g} minutes"
        print(visible(f"{head}  [{one.package}]"))
        if details:
            for part, words in _fixed(one):
                print(visible(f"      {part:<14}{words}"))


def _fixed(one: Protocol) -> Iterator[tuple[str, str]]:
    """What a protocol fixes, part by part, as people write it."""
    yield "data", f"{', '.join(one.dataset)} {one.data}, {one.images} test images {one.subset}"
    yield "threat", f"{one.norm} {', '.join(map(str, one.threat['eps']))}"
    yield "attack", ", ".join(one.attack) or "none"
    yield "access", ", ".join(one.access)
    yield "audit", f"{one.audit} or more"
    if one.certified is not None:
        radii = ", ".join(map(str, one.certified["radii"]))
        yield "certified", f"radii {radii}; alpha at most {one.alpha:g}"
    at_eps = f"robust accuracy at {one.stated['headline'].get('eps')}"
    radius = one.headline_radius
    yield "ranks by", at_eps if radius is None else f"certified accuracy at radius {radius:g}"


def _settings() -> Mapping[str, type]:
    """The groups that are no kind of component, and what holds their options."""
    from robench.core.threat import ThreatConfig
    from robench.training.recipe import Recipe

    return {"train": Recipe, "threat": ThreatConfig}


def _print_settings(group: str, holder: type) -> None:
    from robench.plugin.options import options

    _print_options(f"{group}.", options(holder), indent=2)


def _text(value: object) -> str:
    return "null" if value is None else str(plain(value))
