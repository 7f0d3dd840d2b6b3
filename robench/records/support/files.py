"""What a record says of the file that it judged: what follows from its tables, and what cannot be.

tie_rate              share of images whose largest logits are equal
accuracy_ties_right   robust accuracy where every such image counts as right, and as wrong
accuracy_ties_wrong
twins_gap             what further twins broke of what a row's search on the faithful one left
parent_difference     accuracy of the float parent minus the file's, on the same images
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from robench.base.errors import UserError
from robench.base.stats import Paired, paired
from robench.core.outcomes import CLEAN, Outcomes, RowOutcomes
from robench.core.record import Axis, FileInfo, Record, Value
from robench.records.protocol import PARENT
from robench.records.shared import place
from robench.records.support.values import (
    DIFFERENCE,
    OF_FILES,
    ROUNDING,
    TIES,
    TIES_RIGHT,
    TIES_WRONG,
    TWINS,
    require_same,
    words,
)
from robench.records.tables import read_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Table = Mapping[str, NDArray[Any]]

PARENT_TABLE = "parent"
"""The table of what the float parent answers to its own examples."""
COLUMNS = {"attack": "O", "norm": "O", "eps": "f", "image": "iu", "prediction": "iu"}
"""Its columns and their kinds, as numpy calls them; eps is missing where nothing was attacked."""


def axes_of(row: RowOutcomes) -> dict[str, Axis]:
    """What a value about a row belongs to; nothing for the clean one."""
    if row.attack == CLEAN:
        return {}
    return {"attack": row.attack, "access": row.access, "norm": row.norm, "eps": row.eps}


def gap(metric: str, pair: Paired, row: RowOutcomes) -> Value:
    """A paired difference about a row as a value."""
    return Value(
        metric=metric,
        value=pair.difference,
        low=pair.low,
        high=pair.high,
        n=pair.n,
        unit="share",
        better="lower",
        axes=axes_of(row),
    )


def robust(row: RowOutcomes) -> NDArray[np.bool_]:
    """Which images are right clean and attacked."""
    both: NDArray[np.bool_] = row.right & row.clean_right
    return both


def telling(values: Sequence[Value]) -> list[Value]:
    """Without the tie rates of attacks that come to the same however a tie is read."""
    moved = [value.axes for value in values if value.metric == TIES_RIGHT]
    return [v for v in values if v.metric != TIES or not v.axes or v.axes in moved]


def differences(outcomes: Outcomes, table: Table) -> Iterator[Value]:
    """The parent's accuracy minus the file's, clean and under each attack in a ball.

    The parent stands its own examples, the file its row of the same attack with most access.
    Raises UserError for a table of other images.
    """
    clean = _parent_right(outcomes, table, outcomes.clean)
    yield gap(DIFFERENCE, paired(clean, outcomes.clean.right), outcomes.clean)
    for row in outcomes.attacked:
        if row.access != PARENT or row.search != "ball":
            continue
        mine = next(one for one in outcomes.attacked if _place(one) == _place(row) and one.valid)
        theirs = clean & _parent_right(outcomes, table, row)
        yield gap(DIFFERENCE, paired(theirs, robust(mine)), mine)


def _place(row: RowOutcomes) -> tuple[str, str, float | None]:
    return row.attack, row.norm, row.eps


def _parent_right(outcomes: Outcomes, table: Table, row: RowOutcomes) -> NDArray[np.bool_]:
    mine = (table["attack"] == row.attack) & (table["norm"] == row.norm)
    if row.eps is not None:
        mine &= table["eps"] == row.eps
    if not np.array_equal(table["image"][mine], outcomes.clean.image):
        raise UserError(f"expected the float parent's answers to the images of {row.attack}")
    right: NDArray[np.bool_] = table["prediction"][mine] == outcomes.clean.label
    return right


# -- a record held against it ----------------------------------------------------------------------


def check_file(record: Record, outcomes: Outcomes, folder: Path) -> Iterator[str]:
    """Yield what nothing stored supports; raises UserError for what cannot be."""
    found = [value for value in record.values if value.metric in OF_FILES]
    _check_agreement(record)
    path = folder / f"{PARENT_TABLE}.parquet"
    if record.file is None:
        if found or path.exists():
            raise UserError("expected values of a shipped file where one was judged, got some")
        return
    if record.file.sha256 not in record.files.values():
        _require_no_other(record.file, record)
        yield "file: it is not kept beside the record"
    else:
        _require_bytes(record.file, record, folder)
    _check_once(found)
    for value in found:
        if value.metric == TWINS:
            _check_twins(value, outcomes)
        elif value.metric != DIFFERENCE:
            _check_tie(value, found, outcomes)
    said = [value for value in found if value.metric == DIFFERENCE]
    if not path.exists():
        if said or record.file.parent:
            yield "difference from the float parent: no table of its answers"
        return
    _check_differences(said, list(differences(outcomes, _parent_table(path))))


def _require_no_other(file: FileInfo, record: Record) -> None:
    """What is kept in the judged file's place must be that file."""
    for name, digest in record.files.items():
        if name.endswith(f".{file.format}"):
            raise UserError(
                f"expected {name} to be the judged file, of sha256 {file.sha256[:16]}, got "
                f"{digest[:16]}"
            )


def _require_bytes(file: FileInfo, record: Record, folder: Path) -> None:
    for name, digest in record.files.items():
        path = place(folder, name, digest)
        if digest == file.sha256 and path.is_file() and path.stat().st_size != file.bytes:
            raise UserError(
                f"expected {name} of {file.bytes:,} bytes, as recorded, got {path.stat().st_size:,}"
            )


def _check_agreement(record: Record) -> None:
    """Of files alone candidates are judged, and of every file that has a twin."""
    said, file = record.agreement, record.file
    wanted = file is not None and not file.black_box
    hits = (said.adversarial or 0.0) * (said.adversarial_n or 0)
    if (said.adversarial is not None) != wanted or abs(hits - round(hits)) > 1e-6:
        raise UserError(
            "expected agreement on adversarial candidates, as a share of them, of a file with a "
            f"twin and of nothing else, got {said.adversarial} of {said.adversarial_n}"
        )
    if said.explained is not None and not wanted:
        raise UserError("expected explained logits of a file with a twin alone, got some")


def _check_once(found: list[Value]) -> None:
    places = [(value.metric, *map(str, value.axes.values())) for value in found]
    if len(set(places)) < len(places):
        raise UserError("expected each value of the file once, got one twice")


def _row_of(value: Value, outcomes: Outcomes) -> RowOutcomes:
    for row in outcomes.rows:
        if axes_of(row) == value.axes:
            return row
    raise UserError(f"expected a row that {words(value)} is of, got none")


def _check_twins(value: Value, outcomes: Outcomes) -> None:
    """A gap is what further searches took: its interval follows from a count of broken images."""
    row = _row_of(value, outcomes)
    after, taken = robust(row), round((value.value or 0.0) * len(row))
    broken = np.flatnonzero(row.clean_right & ~row.right)
    if not 0 <= taken <= len(broken):
        raise UserError(f"expected {words(value)} of at most {len(broken)} images, got {taken}")
    before = after.copy()
    before[broken[:taken]] = True
    require_same(value, gap(TWINS, paired(before, after), row), "the outcomes table")


def _check_tie(value: Value, found: list[Value], outcomes: Outcomes) -> None:
    """Both readings enclose the accuracy, and lie no further apart than there are ties."""
    row = _row_of(value, outcomes)
    rates = {v.metric: v.value or 0.0 for v in found if v.axes == value.axes}
    if value.metric == TIES:
        return
    low, high = (rates.get(name) for name in (TIES_WRONG, TIES_RIGHT))
    if low is None or high is None or TIES not in rates:
        raise UserError(f"expected both readings and the rate of ties beside {words(value)}")
    slack = rates[TIES] + (0.0 if row.attack == CLEAN else _rate(found))
    here = float(robust(row).mean())
    if not low - ROUNDING <= here <= high + ROUNDING or high - low > slack + ROUNDING:
        raise UserError(
            f"expected both readings of {words(value)} to enclose {here:.4f}, and to lie no "
            f"further apart than there are ties, got {low:.4f} to {high:.4f}"
        )


def _rate(found: list[Value]) -> float:
    return next((v.value or 0.0 for v in found if v.metric == TIES and not v.axes), 0.0)


def _parent_table(path: Path) -> Table:
    table = read_columns(path)
    for name, kinds in COLUMNS.items():
        if name not in table or table[name].dtype.kind not in kinds:
            raise UserError(f"expected a column {name} of its kind in {path.name}")
    return table


def _check_differences(said: list[Value], wanted: list[Value]) -> None:
    if [words(value) for value in said] != [words(value) for value in wanted]:
        raise UserError(f"expected {len(wanted)} differences from the float parent, by its table")
    for one, value in zip(said, wanted, strict=True):
        require_same(one, value, f"{PARENT_TABLE}.parquet")
