"""What rows, columns and protocols are called on a page."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from robench.base.text import one_line, shortened
from robench.core.threat import eps_text
from robench.leaderboard.table.cells import Column
from robench.leaderboard.table.formats import NORM_NAMES
from robench.leaderboard.table.row import BoardRow
from robench.records.protocols import Protocol
from robench.records.support.values import (
    DIFFERENCE,
    OF_FILES,
    TIES,
    TIES_RIGHT,
    TIES_WRONG,
    TWINS,
)

LONGEST, LONGEST_OPTION = 160, 60
"""Letters of each half of a label, and of an option in it, at most: the row's page has all."""
Place = tuple[str, str, str]
"""Kind, choice and option; kind and choice of the training recipe are both `train`."""


MODELS: Place = ("model", "", "")
"""Stands for the choice of a model itself."""


def varying(rows: Iterable[BoardRow]) -> set[Place]:
    """Every option that two rows set differently, and `("model", "", "")` of two models."""
    first: dict[Place, Any] = {}
    found = set()
    # Rows of the store share what they chose, so that few are different.
    for row in {(id(row.chosen), id(row.train)): row for row in rows}.values():
        if first.setdefault(MODELS, row.names("model")) != row.names("model"):
            found.add(MODELS)
        for kind, choices in {**row.chosen, "train": {"train": row.train}}.items():
            for choice, options in choices.items():
                for name, value in options.items():
                    if first.setdefault((kind, choice, name), value) != value:
                        found.add((kind, choice, name))
    return found


def chosen_label(row: BoardRow, kind: str, different: set[Place]) -> str:
    """The choices of a kind with the options in which rows differ: `ptq(bits=4)`."""
    parts = []
    for choice, options in row.chosen[kind].items():
        shown = [_told(f"{n}={v}") for n, v in options.items() if (kind, choice, n) in different]
        parts.append(f"{choice}({', '.join(shown)})" if shown else choice)
    return shortened(" + ".join(parts), LONGEST)


def _told(option: str) -> str:
    """An option on one visible line that leaves room for others: it may hold any text."""
    return shortened(one_line(option), LONGEST_OPTION)


@dataclass(frozen=True)
class Label:
    """What a row is called."""

    name: str
    """Its defense and compressor; what is plain goes unsaid."""
    details: str
    """Its model, what runs it, its certifier and its training, where rows differ in them."""

    @property
    def text(self) -> str:
        """Both."""
        return " · ".join(filter(None, (self.name, self.details)))


def row_label(row: BoardRow, different: set[Place]) -> Label:
    """What a row is called beside others that differ in these options."""
    parts = [chosen_label(row, kind, different) for kind in ("defense", "compressor")]
    name = " · ".join(part for part in parts if part != "none") or _told(_bare(row))
    # A file is its own model.
    told = MODELS in different and row.file is None
    named = [chosen_label(row, "model", different)] if told else []
    if row.file is not None:
        # The build that some runtimes add is on the row's page.
        named.append(_told(f"{row.file.runtime} {re.split('[-+]', row.file.version)[0]}"))
    if any(kind == "certifier" for kind, *_ in different) and "certifier" in row.chosen:
        named.append(chosen_label(row, "certifier", different))
    changed = [
        _told(f"{name} {value}")
        for name, value in row.train.items()
        if ("train", "train", name) in different and value is not None
    ]
    return Label(*(shortened(one, LONGEST) for one in (name, " · ".join(named + changed))))


def _bare(row: BoardRow) -> str:
    """The name of a network without defense and compressor; how a given one was trained is not
    known, so its hash names it, and a file its name."""
    if row.file is not None:
        path = row.chosen["model"].get("file", {}).get("path")
        return str(path or f"{row.file.format} {row.file.sha256[:8]}").rpartition("/")[2]
    given = row.chosen["model"].get("given")
    return f"given {str(given.get('hash', ''))[:8]}" if given is not None else "plain"


OPEN_RUNS = (
    "Open runs: each chose its own images, attacks and audit, so none of them has a rank and none "
    "is the best."
)


def tab_label(protocol: Protocol | None) -> str:
    """The name of a protocol's tab: its title, the size of what ranks, its version if that is not
    the first, and whose it is if not robench's.

    Names are unique among installed protocols, titles are not: no two tabs read alike.
    """
    if protocol is None:
        return "open runs"
    eps, radius = protocol.headline_eps, protocol.headline_radius
    label = f"{protocol.title} {eps_text((radius if eps is None else eps) or 0.0)}"
    if protocol.version > 1:
        label += f" · v{protocol.version}"
    if protocol.package == "robench":
        return label
    return f"{label} · {protocol.name}@{protocol.version} of {protocol.package}"


def threat_text(norm: str, eps: float) -> str:
    """A threat as people write it: `L∞ ε = 8/255`."""
    return f"{NORM_NAMES.get(norm, norm)} ε = {eps_text(eps)}"


def group_label(row: BoardRow) -> str:
    """What the rows are called that a row may be drawn with."""
    if row.protocol is not None:
        return tab_label(row.protocol)
    threat = threat_text(row.threat.norm, row.threat.eps) if row.threat else "not attacked"
    return f"open runs, never ranked · {row.names('dataset')} · {threat}"


def about(protocol: Protocol) -> tuple[tuple[str, str], ...]:
    """What a protocol fixes, what ranks and what it costs, as terms and their texts."""
    sizes = ", ".join(map(eps_text, protocol.eps))
    radius = protocol.headline_radius
    if radius is None:
        ranks = f"robust accuracy, {threat_text(protocol.norm, protocol.headline_eps or 0.0)}"
    else:
        ranks = f"certified accuracy at L2 radius {radius:g}, error probability {protocol.alpha:g}"
    return (
        ("protocol", f"{protocol.name} version {protocol.version}"),
        ("ranks", ranks),
        ("images", f"{protocol.images:,} of {' + '.join(protocol.dataset)}, fixed by seed"),
        ("attacks", f"{', '.join(protocol.attack)}: {NORM_NAMES[protocol.norm]} {sizes}")
        if protocol.attack
        else ("attacks", "inside the certificates, by the audit"),
        ("access", ", ".join(protocol.access).replace("_", " ")),
        ("audit", f"{protocol.audit} or more"),
        ("cost", f"about {protocol.minutes:g} min to judge a small network on two cores"),
    )


TITLES = {
    "clean_accuracy": "clean",
    "worst_case_accuracy": "worst case",
    "audited_accuracy": "audited worst case",
    "certified_accuracy": "certified",
    "certified_percentage": "certified %",
    "largest_perturbation": "largest ‖ΔW‖₂",
    "attacked_accuracy": "attacked",
    "file_bytes": "file",
    TIES: "ties",
    TIES_RIGHT: "ties right",
    TIES_WRONG: "ties wrong",
    TWINS: "broken on further twins",
    DIFFERENCE: "float parent \N{MINUS SIGN} file",
}
UNTOLD = ("warmup", "p")
"""Axes that a heading leaves to the page of a row: it says ‖·‖₂ itself."""
SMALL_UNITS = {"share": "%", "bytes": "kB", "s": "ms", "gradients": "gradients an image"}


def heading(column: Column) -> tuple[str, str]:
    """A column's title and the line below it."""
    axes = dict(column.axes)
    attack, access = axes.pop("attack", None), axes.pop("access", None)
    norm, eps = axes.pop("norm", None), axes.pop("eps", None)
    title = TITLES.get(column.metric, column.metric.replace("_", " "))
    if column.metric == "robust_accuracy":
        title = str(attack)
    elif column.metric == "attacked_accuracy":
        title = f"{attack}, attacked"
    elif column.metric in OF_FILES and attack is not None:
        title = f"{attack}, {title}"
    small = []
    if isinstance(norm, str) and norm:
        size = eps_text(eps) if isinstance(eps, (int, float)) else "any"
        small.append(f"{NORM_NAMES.get(norm, norm)} {size}")
    if access not in (None, "white_box", "none", "any"):
        small.append(str(access).replace("_", " "))
    told = {name: value for name, value in axes.items() if value is not None and name not in UNTOLD}
    # What tells neighbours apart first.
    told = {name: told[name] for name in sorted(told, key=lambda name: name != "radius")}
    small += [f"{name} {_axis_text(value)}" for name, value in told.items()]
    if column.unit in SMALL_UNITS and column.unit != "share":
        small.insert(0, SMALL_UNITS[column.unit])
    # A heading may break between its parts, not inside one.
    return title, " · ".join(part.replace(" ", "\u00a0") for part in small)


def _axis_text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
