"""The rows of a record: those its configuration asks for, and outcomes that can be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from robench.base.errors import UserError
from robench.base.hashing import digest
from robench.core.outcomes import (
    ABSTAIN,
    CLEAN,
    COLUMNS,
    PER_IMAGE,
    Outcomes,
    RowOutcomes,
    clean_score,
)
from robench.core.record import AttackRow, Record, Weaker
from robench.core.threat import EPS_LEVELS, TOLERANCE, eps_text, parse_eps
from robench.plugin.registry import registry
from robench.records.protocol import NO_ACCESS, accesses_of
from robench.records.weaker import weaker

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEARCHES = ("ball", "minimal", "noise")
ROUNDING = 1e-9
OFF_GRID = 1e-3
"""What a distance may be off a multiple of 1/255, in 8-bit units."""


def title(row: AttackRow | RowOutcomes) -> str:
    """A row in words."""
    bound = "" if row.eps is None else f" {eps_text(row.eps)}"
    return f"{row.attack} ({row.access}, {row.norm}{bound})"


# -- what the configuration asks for ---------------------------------------------------------------


@dataclass
class _Levels:
    """What the words weak, medium, strong and the usual noise mean, as rows use them."""

    known: dict[tuple[str, str], float] = field(default_factory=dict)

    def require(self, norm: str, item: float | str, row: AttackRow) -> None:
        """Raise UserError unless the row's eps is what the configuration names."""
        wanted = item if isinstance(item, float) else self.known.setdefault((norm, item), row.eps)  # type: ignore[arg-type]
        if row.eps is None or row.eps != wanted:
            raise UserError(f"expected eps {wanted} of {title(row)}, as config.attack has it")

    def check(self) -> None:
        """Raise UserError unless weak <= medium <= strong."""
        for norm in {norm for norm, _ in self.known}:
            sizes = [self.known[norm, one] for one in EPS_LEVELS if (norm, one) in self.known]
            if any(a > b for a, b in pairwise(sizes)):
                raise UserError(f"expected weak <= medium <= strong of {norm}, got eps {sizes}")


def check_asked(record: Record, outcomes: Outcomes) -> None:
    """The record's rows are those that its configuration asks for, in that order."""
    config, levels = record.config, _Levels()
    searches = {row.attack: row.search for row in outcomes.rows if row.attack != CLEAN}
    rows_of: dict[str, list[AttackRow]] = {}
    for row in record.rows:
        if row.attack not in config["attack"]:
            raise UserError(f"expected {title(row)} in config.attack, got no such attack")
        rows_of.setdefault(row.attack, []).append(row)
    begin = 0
    for name, options in config["attack"].items():
        mine = rows_of.get(name, [])
        if not mine:
            raise UserError(f"expected rows of {name}, which config.attack names, got none")
        search = searches[name]
        _check_kind(name, search, (options, config["threat"]), mine, _installed(record, name))
        items: tuple[float | str | None, ...] = tuple(_items(search, options, config["threat"]))
        accesses = [NO_ACCESS] if search == "noise" else _accesses(record, name)
        asked = [(access, item) for access in accesses for item in items]
        if [row.access for row in mine] != [access for access, _ in asked]:
            raise UserError(
                f"expected {len(items)} rows of {name} for each of {', '.join(accesses)}, got "
                f"{', '.join(map(title, mine))}"
            )
        for row, (_, item) in zip(mine, asked, strict=True):
            if item is not None:
                levels.require(row.norm, item, row)
            elif row.eps is not None:
                raise UserError(f"expected no eps of {title(row)}, a search without a bound")
        end = begin + len(mine)
        if list(record.rows[begin:end]) != mine:
            raise UserError(f"expected the rows of {name} together, in the configuration's order")
        begin = end
    levels.check()


def _accesses(record: Record, name: str) -> list[str]:
    """The accesses of an attack's rows, as far as the judged file lets them be."""
    blind = name in (record.queries_only or ())
    file, surrogate = record.file, record.agreement.surrogate
    return accesses_of(record.config["access"], blind, file, surrogate, bool(file and file.parent))


def _items(
    search: str, options: Mapping[str, Any], threat: Mapping[str, Any]
) -> Iterator[float | str | None]:
    """A row's eps each, as a number or as the word that stands for one."""
    if search == "minimal":
        yield None
        return
    own, shared = parse_eps(options.get("eps")), parse_eps(threat.get("eps"))
    if search == "noise":
        yield from own or ("usual noise",)
        return
    yield from own or shared or (EPS_LEVELS[-1],)


def _check_kind(
    name: str,
    search: str,
    options: tuple[Mapping[str, Any], ...],
    rows: list[AttackRow],
    known: Any,
) -> None:
    """One kind of search and one norm, both the attack's own where it is known.

    `options` are its own and those it inherits.
    """
    norms = {row.norm for row in rows}
    if search not in SEARCHES or len(norms) != 1:
        raise UserError(f"expected one search of {', '.join(SEARCHES)} and one norm of {name}")
    given = next((one["norm"] for one in options if one.get("norm")), None)
    if known is None:
        return
    if known.search != search:
        raise UserError(f"expected {name} to search as {known.search}, got outcomes as {search}")
    wanted = (given if given in known.norms else known.norms[0],) if given else known.norms
    if not norms <= set(wanted):
        raise UserError(f"expected norm {' or '.join(wanted)} of {name}, got {', '.join(norms)}")


def check_queries_only(record: Record) -> None:
    """Attacks that read answers only are those of the configuration that do."""
    if record.queries_only is None:
        return
    if strange := set(record.queries_only) - set(record.config["attack"]):
        raise UserError(f"expected queries_only among config.attack, got {', '.join(strange)}")
    for name in record.config["attack"]:
        known = _installed(record, name)
        if known is not None and known.queries_only != (name in record.queries_only):
            raise UserError(f"expected queries_only to say of {name} what the attack says")


def check_spent(record: Record, outcomes: Outcomes) -> None:
    """Both costs or none, no gradients of those by queries alone; weaker rows are those."""
    blind = frozenset(record.queries_only or ())
    beaten = weaker(record.rows, outcomes, blind)
    for row, wanted in zip(record.rows, beaten, strict=True):
        known = row.gradients is not None, row.queries is not None
        if known[0] != known[1] or (row.status == "invalid" and known[0]):
            raise UserError(
                f"expected gradients and queries of {title(row)}, both or, where it is invalid or "
                f"they were not counted, neither; got {row.gradients} and {row.queries}"
            )
        if row.gradients and row.attack in blind:
            raise UserError(f"expected no gradients of {title(row)}, which reads answers only")
        if not _alike(row.weaker, wanted):
            raise UserError(
                f"expected {title(row)} to say {_beaten(wanted)} by the outcomes, got "
                f"{_beaten(row.weaker)}"
            )


def _alike(said: Weaker | None, wanted: Weaker | None) -> bool:
    if said is None or wanted is None:
        return said is wanted
    pairs = ((getattr(said, n), getattr(wanted, n)) for n in ("points", "low", "high"))
    return said.than == wanted.than and all(abs(a - b) <= ROUNDING for a, b in pairs)


def _beaten(found: Weaker | None) -> str:
    if found is None:
        return "that no row surely beats it"
    return f"that {found.than} beats it by {100 * found.points:.2f} points"


def _installed(record: Record, name: str) -> Any:
    """The attack that made the rows, where this machine has it; None for another one's name."""
    choice = registry().choices["attack"].get(name)
    origin = record.provenance.components.get(f"attack.{name}", "").partition(" ")[0]
    return choice.component if choice and choice.distribution == origin else None


# -- outcomes --------------------------------------------------------------------------------------


def check_outcomes(record: Record, outcomes: Outcomes) -> None:
    """The outcomes are of the record's images and rows, and none of them is impossible."""
    keys = [(row.attack, row.access, row.norm, row.eps) for row in outcomes.rows]
    if keys[0][0] != CLEAN or len(set(keys)) != len(keys):
        raise UserError("expected outcomes to begin with the clean row and to hold each row once")
    for row in outcomes.rows:
        if len(row) != record.data.images:
            raise UserError(
                f"expected {record.data.images} outcomes of {row.attack}, got {len(row)}"
            )
    if [(row.attack, row.access, row.norm, row.eps) for row in record.rows] != keys[1:]:
        raise UserError("expected the outcomes table to hold the record's rows, in their order")
    _check_images(record, outcomes.clean)
    _check_clean(outcomes.clean)
    _check_attacked(outcomes, bool(record.config["threat"].get("grid", True)))
    _check_status(record, outcomes)


def _check_images(record: Record, clean: RowOutcomes) -> None:
    subset, apart = _images(clean.image.tobytes())
    if subset != record.data.subset:
        raise UserError("expected outcomes of the images the record names, got other images")
    if not apart:
        raise UserError("expected each judged image once, by its number in the test set")
    if clean.label.min() < 0:
        raise UserError("expected labels of at least 0 in the outcomes")


@lru_cache(16)
def _images(numbers: bytes) -> tuple[str, bool]:
    """Of the images' numbers, as bytes, their digest, and whether each is one and stands once.

    Most records of a collection were judged on few different sets of images.
    """
    image = np.frombuffer(numbers, COLUMNS["image"]).tolist()
    return digest(image), len(set(image)) == len(image) and min(image) >= 0


def _check_clean(clean: RowOutcomes) -> None:
    about = clean.access, clean.search, clean.norm, clean.eps, clean.valid
    if about != (NO_ACCESS, CLEAN, "", None, True):
        raise UserError("expected a clean row without access, norm and eps")
    if clean.linf.any() or clean.l2.any():
        raise UserError("expected the clean row at distance 0")
    if not np.array_equal(clean.prediction, clean.clean_prediction):
        raise UserError("expected one prediction of each clean image, got two")


def _check_attacked(outcomes: Outcomes, grid: bool) -> None:
    """No attacked row is impossible; all are looked at together, row by row takes far longer."""
    clean, rows = outcomes.clean, outcomes.rows[1:]
    if not rows:
        return
    column = {name: np.stack([getattr(row, name) for row in rows]) for name in PER_IMAGE}
    for name in ("image", "label", "clean_prediction"):
        if (column[name] != getattr(clean, name)).any():
            raise UserError(f"expected each row to have the clean row's {name}, got others")
    low = np.minimum(column["prediction"], column["clean_prediction"]) < ABSTAIN
    _refuse(low, rows, f"expected predictions of at least {ABSTAIN} of {{}}")
    _check_distances(column["linf"].astype(float), column["l2"].astype(float), rows, grid)
    for row in rows:
        if not row.valid and (
            row.linf.any() or row.l2.any() or not np.array_equal(row.prediction, clean.prediction)
        ):
            raise UserError(f"expected the clean answers of {title(row)}, which is invalid")


def _check_distances(
    largest: NDArray[np.float64],
    length: NDArray[np.float64],
    rows: Sequence[RowOutcomes],
    grid: bool,
) -> None:
    """`largest` and `length` are Linf and L2 distances, shape (rows, images)."""
    finite = np.isfinite(largest) & np.isfinite(length)
    _refuse(~finite, rows, "expected finite distances of {}")
    outside = (largest < 0) | (largest > 1 + TOLERANCE)
    _refuse(outside, rows, "expected distances of {} between 0 and 1")
    longer = largest > length * (1 + 1e-5) + 1e-7
    _refuse(longer, rows, "expected no linf distance above the l2 distance of {}")
    if grid:
        levels = largest * 255
        off = np.abs(levels - np.round(levels)) > OFF_GRID
        _refuse(off, rows, "expected distances of {} on the 8-bit grid")
    for row in rows:
        if row.search == "ball" and (row.eps is None or row.distance.max() > row.eps + TOLERANCE):
            raise UserError(f"expected examples of {title(row)} inside the ball")


def _refuse(wrong: NDArray[np.bool_], rows: Sequence[RowOutcomes], fault: str) -> None:
    """Raise UserError of the first row with something wrong, which `fault` names as {}."""
    if wrong.any():
        raise UserError(fault.format(title(rows[int(wrong.any(axis=1).argmax())])))


def _check_status(record: Record, outcomes: Outcomes) -> None:
    """Invalid where the outcomes are, at chance where naming the commonest class does as well."""
    clean = outcomes.clean
    chance = clean_score(outcomes).interval[0] <= np.bincount(clean.label).max() / len(clean)
    valid = "at_chance" if chance else "ok"
    wanted = [valid if row.valid else "invalid" for row in outcomes.rows[1:]]
    for said, status in zip(record.rows, wanted, strict=True):
        if said.status != status:
            raise UserError(f"expected status {status} of {title(said)}, got {said.status}")
    status = "at_chance" if "at_chance" in wanted else "ok"
    if record.status != status:
        raise UserError(f"expected status {status} by the clean answers, got {record.status}")
