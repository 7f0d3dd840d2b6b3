"""How a row is cited: BibTeX of its records, and where its methods come from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from robench.base.text import one_line
from robench.core.record import Record
from robench.leaderboard.table.row import BoardRow
from robench.plugin.registry import registry

SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{one: f"\\{one}" for one in "&%$#_"},
}
"""Characters that mean something to LaTeX, and how each is written."""


def latex(text: str) -> str:
    """A text as LaTeX prints it: one line, nothing in it means anything."""
    return re.sub(r"[\\{}~^&%$#_]", lambda found: SPECIAL[found[0]], one_line(text))


def bibtex(row: BoardRow, record: Record) -> str:
    """A BibTeX entry that names a row's records by the digests of their files."""
    judged = f"under {row.key}" if row.key else "in an open run"
    files = ", ".join(one[:16] for one in row.contents)
    fields = {
        "title": f"{{{latex(_system(row))}: a robench record}}",
        "author": "{{The robench developers}}",
        "howpublished": f"{{Robustness of a deployed network, judged {latex(judged)}}}",
        "note": (
            f"{{Record {latex(', '.join(row.members))}; SHA-256 of its files {latex(files)}; "
            f"made by robench {latex(record.provenance.robench)}}}"
        ),
    }
    lines = ",\n".join(f"  {name} = {text}" for name, text in fields.items())
    return f"@misc{{robench-{row.id[:16]},\n{lines}\n}}"


def _system(row: BoardRow) -> str:
    chosen = [row.names(kind) for kind in ("model", "defense", "compressor")]
    return f"{', '.join(one for one in chosen if one != 'none')} on {row.names('dataset')}"


def sources(config: Mapping[str, object]) -> list[tuple[str, str, str]]:
    """Where the installed components of a configuration come from: choice, `paper` or `code`, and
    the address. A record names choices only, so that no address is its own."""
    return list(dict.fromkeys(_sources(config)))


def _sources(config: Mapping[str, object]) -> Iterator[tuple[str, str, str]]:
    for kind, known in registry().choices.items():
        chosen = config.get(kind)
        for name in chosen if isinstance(chosen, Mapping) else ():
            if name in known:
                for what, address in known[name].cls.sources.items():
                    yield name, what, address
