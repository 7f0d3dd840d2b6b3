"""`robench plugins`: what is installed; docstrings and options of the components are the text."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from robench.base.errors import ConfigError
from robench.base.hashing import plain
from robench.base.text import suggestion, visible
from robench.cli.main import report_broken

if TYPE_CHECKING:
    from robench.plugin.registry import Choice
    from robench.records.protocols import Protocol

PROTOCOL = "protocol"
HELP = "what is installed, with its options"


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("kind", nargs="?", help="dataset, model, defense, ..., protocol")


def run(options: argparse.Namespace) -> int:
    """Print every choice (of a kind) with its origin, and its options when a kind is named."""
    from robench.plugin.components import KINDS

    report_broken()
    if options.kind is None:
        for kind in KINDS:
            _print_kind(kind, details=False)
        _print_protocols(details=False)
        return 0
    settings = _settings()
    if options.kind in settings:
        _print_settings(options.kind, settings[options.kind])
    elif options.kind in KINDS:
        _print_kind(options.kind, details=True)
    elif options.kind == PROTOCOL:
        _print_protocols(details=True)
    else:
        known = [*KINDS, *settings, PROTOCOL]
        raise ConfigError(
            f"expected a kind among {', '.join(known)}, got {options.kind!r}"
            + suggestion(options.kind, known)
        )
    return 0


def _print_kind(kind: str, *, details: bool) -> None:
    from robench.plugin.registry import registry

    print(f"{kind}:")
    for choice in sorted(registry().choices[kind].values(), key=lambda choice: choice.name):
        _print_choice(choice, details=details)


def _print_choice(choice: Choice, *, details: bool) -> None:
    from robench.plugin.options import options, summary

    origin = f"{choice.distribution} {choice.version}"
    print(visible(f"  {choice.name:<22}{summary(choice.component)}  [{origin}]"))
    if details:
        for option in options(choice.component):
            left = f"{choice.kind}.{choice.name}.{option.name}={_text(option.default)}"
            print(visible(f"      {left:<48}{option.help}"))


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

    for option in options(holder):
        print(f"  {group}.{option.name}={_text(option.default):<20}{option.help}")


def _text(value: object) -> str:
    return "null" if value is None else str(plain(value))
