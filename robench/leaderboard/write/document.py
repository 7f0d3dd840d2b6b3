"""What the page of a row says of its own records: a document of JSON, drawn in the browser.

What depends on other rows (its label, its rank, its replicates) stands in the index of its tab.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any

import numpy as np

from robench.base.text import HIDDEN, visible
from robench.core.outcomes import Outcomes, Score, clean_score, scores, worst_cases
from robench.core.record import Axis, Record, Value
from robench.core.threat import eps_text
from robench.leaderboard.table.formats import NORM_NAMES, attack_text, short
from robench.leaderboard.table.proof import Proof
from robench.leaderboard.table.rounding import rounded
from robench.leaderboard.table.row import BoardRow
from robench.leaderboard.table.standing import no_rank
from robench.leaderboard.write import said
from robench.leaderboard.write.citation import bibtex, sources
from robench.leaderboard.write.pages import compact, in_ascii
from robench.leaderboard.write.points import curves
from robench.records.support.files import telling
from robench.records.trust import Attestation
from robench.run.again import again

HIDES = re.compile(rf"\\[bfrtu]|{HIDDEN.pattern}")
"""What JSON with a hidden character has; in it a few others have it too."""
METRICS = {"gained_by_masking": "gained over the audit"}
"""What metrics are called whose name says more than a value of theirs: a weak attack gains without
any masking, too."""
Facts = list[tuple[str, str]]
"""Terms and what stands beside them."""


def document(row: BoardRow, record: Record, raw: Sequence[Record], outcomes: Outcomes) -> str:
    """Everything that a row's page shows except what other rows decide, as JSON in ASCII.

    `record` and `outcomes` are what the row shows, `raw` the records that it was made from. Texts
    hold no hidden character. Raises ValueError for NaN.
    """
    found: dict[str, Any] = {
        "key": row.key,
        "level": row.proof.level,
        "word": row.word,
        "sentence": row.sentence,
        "no_rank": no_rank(row),
        "believe": said.believe(row),
        "curves": curves(row),
        "cite": bibtex(row, record),
        "sources": sources(record.config),
        "warnings": list(said.warnings(row, record)),
        "proof": _proof(row.proof, row.members),
        "chosen": {kind: _options(choices) for kind, choices in row.chosen.items()},
        "facts": [("attacks", ", ".join(row.attacks) or "none"), *_costs(row, record), *_run(row)],
        "again": [(one.command or "", one.reason) for one in map(again, raw)],
        "file": said.file_facts(row.file, record.agreement) if row.file else [],
        "audits": list(said.audits(row, record)),
        "unaudited": said.unaudited(row, record),
        "agreement": said.agreement(record.agreement),
        "strips": [(one.title, one.captions) for one in row.strips],
        "values": _values(telling(record.values), refuted=bool(row.proof.refuted)),
        "made": _made(record, row.key),
        "versions": {
            "components": dict(record.provenance.components),
            "libraries": dict(record.provenance.distributions),
        },
        "outcomes": _outcomes(row, record, outcomes),
    }
    # Nearly no document holds a character that JSON escapes or that cannot be seen.
    text = json.dumps(found, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return compact(_visible(found)) if HIDES.search(text) else in_ascii(text)


def _visible(value: Any) -> Any:
    """The same with every text, names of fields too, as `visible` has it."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {visible(str(name)): _visible(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_visible(one) for one in value]
    return value


# -- proof -----------------------------------------------------------------------------------------


def _proof(proof: Proof, members: Iterable[str]) -> dict[str, Any]:
    return {
        "members": list(dict.fromkeys(members)),
        "unfounded": list(proof.unfounded),
        "attestations": [_attestation(one) for one in proof.attestations],
        "aside": [(one.id, one.level, one.reason) for one in proof.aside],
    }


def _attestation(one: Attestation) -> dict[str, Any]:
    return {
        "verified": one.verified,
        "date": one.date,
        "by": f"By robench {one.robench} with torch {one.torch} on {one.machine}",
        "record": one.record,
        "steps": [(step.outcome, step.name.replace("_", " "), step.text) for step in one.steps],
    }


# -- configuration ---------------------------------------------------------------------------------


def _options(choices: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Per choice its options as people write them."""
    return {
        choice: {name: _plain(value) for name, value in options.items()}
        for choice, options in choices.items()
    }


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _costs(row: BoardRow, record: Record) -> Facts:
    """What each attack cost, and whether a better one beats it."""
    return [
        (attack_text(one.attack, one.access, one.norm, one.eps), said.cost(one, row.images))
        for one in record.rows
    ]


def _run(row: BoardRow) -> Facts:
    return [
        ("access", row.access.replace("_", " ")),
        ("bits", str(row.bits)),
        ("seed", str(row.seed)),
        ("images", f"{row.images:,}"),
    ]


def _made(record: Record, key: str) -> list[list[str]]:
    """Where the row comes from: terms, and texts of which each second one is a digest."""
    data, made = record.data, record.provenance
    robench = [f"{made.robench} at ", made.commit] if made.commit else [made.robench]
    machine = f"{made.machine}, {made.device}, {made.threads} threads, Python {made.python}"
    return [
        ["protocol", f"{key or 'none: an open run'}, settings ", record.protocol],
        ["data", f"{data.name} ", data.hash, ", images ", data.subset],
        ["robench", *robench],
        ["machine", machine],
    ]


# -- values ----------------------------------------------------------------------------------------


def _values(values: Iterable[Value], refuted: bool) -> dict[str, Any]:
    """All values, in their order, neighbours that share metric, unit and number of images together.

    `of` names what values are of, each once; a group is `[metric, unit, n, whether refuted, its
    values]`, a value the number of what it is of, itself and its ends where it has some.
    """
    names: dict[str, int] = {}
    groups = []
    for (metric, unit, n), same in groupby(values, key=lambda one: (one.metric, one.unit, one.n)):
        its = []
        for one in same:
            kinds = tuple(map(type, one.axes.values()))
            of = names.setdefault(_what_of(tuple(one.axes.items()), kinds), len(names))
            ends = [] if one.low is None else [one.low, one.high]
            its.append([of, *(rounded(number, unit) for number in (one.value, *ends))])
        called = METRICS.get(metric, metric.replace("_", " "))
        groups.append([called, unit, n, refuted and "certif" in metric, its])
    return {"of": list(names), "groups": groups}


@lru_cache(4096)
def _what_of(pairs: tuple[tuple[str, Axis], ...], kinds: tuple[type, ...]) -> str:
    """A value's axes in words: the threat first, then the rest by name.

    `kinds` are the types of the values: 1 and 1.0 are two axes.
    """
    axes: dict[str, Any] = dict(pairs)
    attack, access = axes.pop("attack", ""), axes.pop("access", "none")
    norm, eps = axes.pop("norm", ""), axes.pop("eps", None)
    if attack:
        words = [attack_text(attack.replace("_", " "), access, norm, eps)]
    else:
        known = norm and isinstance(eps, (int, float))
        words = [f"{NORM_NAMES.get(norm, norm)} {eps_text(eps)}"] if known else []
    words += [f"{name} {_axis(value)}" for name, value in axes.items() if value not in (None, "")]
    return ", ".join(words)


def _axis(value: Any) -> str:
    return short(value) if isinstance(value, float) else str(value)


# -- outcomes --------------------------------------------------------------------------------------


def _outcomes(row: BoardRow, record: Record, outcomes: Outcomes) -> dict[str, Any]:
    """Per score its name and one bit an image: what the comparison of two rows reads.

    The headline is that of the row, named by what ranks it; rows of one name may be compared.
    """
    given = record.budgets()
    every = [clean_score(outcomes), *worst_cases(outcomes, given)]
    every += scores(outcomes, given, when_clean_right=True)
    return {
        "data": record.data.hash,
        "subset": record.data.subset,
        "n": record.data.images,
        "headline": [_ranks_by(row), row.judged, base64.b64encode(row.right).decode()],
        "right": {_key(score): [_name(score), _packed(score)] for score in every},
    }


def _ranks_by(row: BoardRow) -> str:
    """What a row's headline is about; nothing where it has none."""
    if row.radius is not None:
        return f"certified accuracy at radius {row.radius:g}"
    if row.threat is None or not row.right:
        return ""
    norm = NORM_NAMES.get(row.threat.norm, row.threat.norm)
    return f"robust accuracy under {norm} {eps_text(row.threat.eps)}"


def _name(score: Score) -> str:
    attack = score.attack.replace("_", " ")
    return attack_text(attack, score.access, score.norm, score.eps)


def _key(score: Score) -> str:
    eps = "" if score.eps is None else str(score.eps)
    return "|".join([score.attack, score.access, score.norm, eps])


def _packed(score: Score) -> str:
    return base64.b64encode(np.packbits(score.right).tobytes()).decode()
