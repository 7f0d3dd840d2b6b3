"""What rows, columns and protocols are called on a page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

from robench.base.text import one_line, shortened, unmarked
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
from robench.records.trust import LEVELS, Level

LONGEST, LONGEST_OPTION = 160, 60
"""Letters of each half of a label, and of an option in it, at most: the row's page has all."""
BRIEF, LEAST = 60, 12
"""Letters of what rows that prove less may make of half a label, and those that a part of it keeps
at least."""
Place = tuple[str, str, str]
"""Kind, choice and option; kind and choice of the training recipe are both `train`."""
Varying = Mapping[Level, set[Place]]
"""Options in which rows differ, by what they prove at least."""
MODELS: Place = ("model", "", "")
"""Stands for the choice of a model itself."""


def varying(rows: Iterable[BoardRow]) -> Varying:
    """By what a row proves, every option that two rows which prove as much or more set
    differently, and `("model", "", "")` of two such models."""
    # Rows of the store share what they chose, so that few are different.
    different = {(id(row.chosen), id(row.train), row.proof.level): row for row in rows}.values()
    first: dict[Place, Any] = {}
    found: set[Place] = set()
    told = {}
    for level in reversed(LEVELS):
        settings = (_settings(row) for row in different if row.proof.level == level)
        for place, value in chain.from_iterable(settings):
            if first.setdefault(place, value) != value:
                found.add(place)
        told[level] = set(found)
    return told


def _settings(row: BoardRow) -> Iterator[tuple[Place, Any]]:
    """All that a row chose, each with its place."""
    yield MODELS, row.names("model")
    for kind, choices in {**row.chosen, "train": {"train": row.train}}.items():
        for choice, options in choices.items():
            for name, value in options.items():
                yield (kind, choice, name), value


def chosen_label(row: BoardRow, kind: str, different: Varying) -> str:
    """The choices of a kind with the options in which rows differ: `ptq(bits=4)`."""
    return _brief(row, different, lambda places: " + ".join(_fitted(_choices(row, kind, places))))


def _brief(row: BoardRow, different: Varying, said: Callable[[set[Place]], str]) -> str:
    """What is said with all options in which rows differ, where that is brief: otherwise with
    those alone in which rows differ that prove as much, so that no other makes it long."""
    with_all = said(different[LEVELS[0]])
    found = with_all if len(with_all) <= BRIEF else said(different[row.proof.level])
    return shortened(found, LONGEST)


def _choices(row: BoardRow, kind: str, different: set[Place]) -> list[str]:
    """Each choice of a kind with the options in which rows differ."""
    parts = []
    for choice, options in row.chosen[kind].items():
        shown = [_told(f"{n}={v}") for n, v in options.items() if (kind, choice, n) in different]
        parts.append(f"{choice}({', '.join(shown)})" if shown else choice)
    return parts


def _fitted(parts: Sequence[str]) -> list[str]:
    """Parts of a label, joined by three letters each, of LONGEST letters in all: the longest are
    cut, so that none takes the room of another."""
    room, fitted = LONGEST + 3, list(parts)
    for left, place in enumerate(sorted(range(len(parts)), key=lambda at: len(parts[at]))):
        most = room // (len(parts) - left) - 3
        fitted[place] = shortened(parts[place], max(most, LEAST))
        room -= len(fitted[place]) + 3
    return fitted


def _told(option: str) -> str:
    """An option on one visible line that leaves room for others: it may hold any text."""
    return shortened(unmarked(one_line(option)), LONGEST_OPTION)


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


def row_label(row: BoardRow, different: Varying) -> Label:
    """What a row is called beside others that differ in these options."""
    return Label(*(_brief(row, different, partial(half, row)) for half in (_name, _details)))


def _name(row: BoardRow, different: set[Place]) -> str:
    defenses, compressors = (_choices(row, kind, different) for kind in ("defense", "compressor"))
    parts = _fitted([*defenses, *compressors])
    kinds = " + ".join(parts[: len(defenses)]), " + ".join(parts[len(defenses) :])
    return " · ".join(part for part in kinds if part != "none") or _told(_bare(row))


def _details(row: BoardRow, different: set[Place]) -> str:
    # A file is its own model.
    told = MODELS in different and row.file is None
    named = [" + ".join(_fitted(_choices(row, "model", different)))] if told else []
    if row.file is not None:
        # The build that some runtimes add is on the row's page.
        named.append(_told(f"{row.file.runtime} {re.split('[-+]', row.file.version)[0]}"))
    if any(kind == "certifier" for kind, *_ in different) and "certifier" in row.chosen:
        named.append(" + ".join(_fitted(_choices(row, "certifier", different))))
    changed = [
        _told(f"{name} {value}")
        for name, value in row.train.items()
        if ("train", "train", name) in different and value is not None
    ]
    return " · ".join(named + changed)


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
