"""Whether a record under a named protocol keeps all evidence that such a run gives.

Records from before there were protocols may lack some of it; one that names a protocol is newer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robench.base.files import has_file
from robench.core.record import Audit, Record
from robench.core.threat import eps_text
from robench.records.store import EXAMPLES, artefact
from robench.records.support.attacked import ATTACKED
from robench.records.support.held import AUDIT_TABLE, read_tables, with_checked
from robench.records.support.votes import CERTIFICATES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Table = Mapping[str, NDArray[Any]]

ALWAYS, ONE_ANSWER, SOMETHING_LEFT = "always", "one answer", "something left"
FINDINGS: Mapping[str, str] = {
    "random_prediction": ALWAYS,
    "depends_on_batch": ONE_ANSWER,
    "zero_gradients": ALWAYS,
    "nonfinite_gradients": ALWAYS,
    "saturated_logits": ALWAYS,
    "loss_not_rising": ALWAYS,
    "twin_disagrees": ALWAYS,
    "saturates": "of files with several twins",
    "noise": ALWAYS,
    "bent_gradients": SOMETHING_LEFT,
    "fractured_gradients": SOMETHING_LEFT,
    "stalled": "where gradients predict small steps",
    "unbounded_eps": "full",
    "rises_with_eps": "full, with an image right clean",
    "planted": "full, where enough was planted",
    "margin_loss": "full",
    "dlr_loss": "full",
    "temperature": "full, with an image right clean",
    "more_effort": "full",
    "smoother_gradient": "where the twin has a smoother form",
    "transfer": "where there is another source",
    "adaptive": "full",
    "black_box": "full, with an image right clean",
    "exact": "of affine networks",
    "strongest": "full",
    "strongest_elsewhere": "full, where another gradient did better",
    "square": "where gradients were not sound",
    "saturated_gradients": ALWAYS,
    "together": ALWAYS,
    "beats_best_row": ALWAYS,
    "missed_by_best_row": "quick",
    "above_clean": "with a white-box row",
}
"""By finding of robench's own, when an audit has it: always, at a level, of a model that answers
once and for all, of such a one where something is left (a quick audit asks no more of what failed),
or, in words, what no record tells."""
LEFT = 0.1
"""Share of the checked images above which something is left, so that gradients are compared."""


def check_complete(record: Record, folder: Path) -> Iterator[str]:
    """Yield what a record under a named protocol lacks of its evidence."""
    if not record.files:
        yield "files: no digests"
    if artefact(folder) is None:
        yield "model: none is kept"
    if any(row.status != "invalid" for row in record.rows) and not has_file(folder, EXAMPLES):
        yield "rows: no examples"
    level = record.config["audit"].get("level")
    certifies = has_file(folder, f"{CERTIFICATES}.parquet")
    if certifies and level in ATTACKED and record.certificates is None:
        yield "certificates: they were not attacked"
    yield from _incomplete(record, folder / f"{AUDIT_TABLE}.parquet")


def _incomplete(record: Record, path: Path) -> Iterator[str]:
    tables = read_tables(path, record) if record.audit and path.is_file() else None
    for number, audit in enumerate(record.audit):
        wanted = _wanted(audit, tables[number] if tables else None)
        said = {finding.check for finding in audit.findings}
        if lacking := [name for name in wanted if name not in said]:
            yield f"audit of {audit.norm} {eps_text(audit.eps)}: no finding {', '.join(lacking)}"


def _wanted(audit: Audit, table: Table | None) -> list[str]:
    """The findings that every such audit has; without its table it is not known to answer once."""
    when = {ALWAYS, audit.level}
    if table is not None and not table["randomised"].any():
        when.add(ONE_ANSWER)
        looked = with_checked(table)
        held = (looked["held"] & looked["checked"]).sum()
        idle = audit.level == "quick" and any(one.verdict == "fail" for one in audit.findings)
        if held > LEFT * looked["checked"].sum() and not idle:
            when.add(SOMETHING_LEFT)
    return [name for name, its in FINDINGS.items() if its in when]
