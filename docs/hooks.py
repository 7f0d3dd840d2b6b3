"""Parts of the documentation that are written by the code they describe."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Callable
from typing import Any

import robench
from robench.cli.main import parser
from robench.cli.run import USAGE
from robench.plugin import hooks as hookspecs
from robench.plugin.components import KINDS
from robench.plugin.options import options, summary
from robench.plugin.registry import registry


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace `<!-- generated: NAME -->` lines; mkdocs calls this for every page."""
    for name, make in PARTS.items():
        mark = f"<!-- generated: {name} -->"
        if mark in markdown:
            markdown = markdown.replace(mark, make())
    return markdown


def components() -> str:
    """Every component of robench's own plugins, with its options, defaults and helps."""
    parts = []
    for kind, choices in registry().choices.items():
        own = {name: c for name, c in choices.items() if c.distribution == "robench"}
        if not own:
            continue
        parts.append(f"## {kind}\n\n{_sentence(KINDS[kind])}\n")
        for name, choice in sorted(own.items()):
            parts.append(f"### {name} {{ #{kind}.{name} }}\n\n{_text(choice.cls)}\n")
            rows = [
                f"| `{kind}.{name}.{o.name}` | `{_cell(o.default)}` | {_cell(o.help)} |"
                for o in options(choice.component)
            ]
            if rows:
                parts.append("\n".join(["| option | default | |", "|---|---|---|", *rows, ""]))
    return "\n".join(parts)


def _sentence(cls: type) -> str:
    return summary(cls)


def _text(cls: type) -> str:
    return inspect.getdoc(cls) or ""


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|")


def hooks() -> str:
    """Every hook with its exact arguments and docstring."""
    parts = []
    for name, function in inspect.getmembers(hookspecs, inspect.isfunction):
        if hasattr(function, "robench_spec"):
            signature = f"def {name}{inspect.signature(function)}"
            parts.append(
                f"## {name}\n\n```python\n{signature}\n```\n\n{inspect.getdoc(function)}\n"
            )
    return "\n".join(parts)


def api() -> str:
    """A reference entry for every name of `robench.__all__`."""
    home = robench._HOME
    return "\n\n".join(
        f"::: robench.{home[name]}.{name}" for name in robench.__all__ if name in home
    )


def commands() -> str:
    """The help of every subcommand, as the terminal prints it."""
    action = next(a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    parts = [f"## robench run\n\n```text\n{USAGE}\n```\n"]
    for name, command in action.choices.items():
        if name != "run":
            text = command.format_help()
            parts.append(f"## robench {name}\n\n```text\n{text}```\n")
    return "\n".join(parts)


def operations() -> str:
    """The table of the places of an operation, from the docstring that carries it."""
    from robench.integer import ops

    rows = re.findall(r"^    (?:place|\S+\.(?:py|h)) .*$", ops.__doc__ or "", re.MULTILINE)
    return "\n".join(["```text", *(row[4:] for row in rows), "```"])


PARTS: dict[str, Callable[[], str]] = {
    "components": components,
    "hooks": hooks,
    "api": api,
    "commands": commands,
    "operations": operations,
}
