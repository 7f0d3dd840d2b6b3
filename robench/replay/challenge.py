"""Better adversarial examples for a record: judged on the model that it keeps, stored beside it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from robench.base.errors import CacheError, UserError
from robench.base.files import work_beside
from robench.base.hashing import file_hash
from robench.core.outcomes import worst_cases
from robench.core.pixels import stored
from robench.core.threat import Threat, distance, eps_text
from robench.records.challenges import (
    MAX_EXAMPLES,
    Challenge,
    check_source,
    examples_file,
    read_challenges,
    write_challenge,
)
from robench.records.consistent import inspect
from robench.records.examples import differences, header, read_array
from robench.replay.judged import broken_by, surely_wrong
from robench.replay.model import model_again
from robench.replay.steps import NotDone
from robench.replay.subject import Subject, open_subject
from robench.run.audit_files import AUDIT_TABLE, read_audit_table
from robench.run.config import Places

SLACK = 1e-6
"""By which a typed eps may differ from the record's."""


@dataclass(frozen=True)
class Challenged:
    """What came of a challenge."""

    examples: int
    """Examples judged."""
    held: int
    """Of their images, those that the record says hold under the threat."""
    broken: int
    """Of these, those that the examples break."""
    path: Path | None
    """The challenge beside the record; None where nothing new is broken."""


def challenge(
    folder: Path, examples: Path, norm: str, eps: float, source: str, places: Places
) -> Challenged:
    """Judge examples under a threat of a record, and keep those that break what it says holds.

    `examples` is a .npz file of `images`, uint8 or float32 on the 8-bit grid, shape (N, C, H, W):
    one for each judged image, or for those at the positions `index`, int64, shape (N,). Raises
    UserError for a source that is not one visible line, a record that does not stand, another
    threat, and the first illegal example; CacheError when the disk refuses.
    """
    try:
        check_source(source)
    except ValueError as error:
        raise UserError(f"{error}; set --source") from error
    if not examples.is_file():
        got = "a folder" if examples.is_dir() else "none"
        raise UserError(f"expected a .npz file of examples at {examples}, got {got}")
    if examples.stat().st_size > MAX_EXAMPLES:
        raise UserError(f"expected at most {MAX_EXAMPLES:,} bytes of examples at {examples}")
    subject = _stands(folder, places)
    threat, held = _held(subject, norm, eps)
    index = _index(examples, len(held))
    clean = subject.test.take(index)
    candidates = _candidates(examples, clean.images)
    _require_legal(threat, candidates, clean.float_images(), index)
    wrong = surely_wrong(subject, candidates, clean.labels, "challenge")
    fresh = torch.from_numpy(held)[index] & wrong
    broken, count = index[fresh], int(held[index.numpy()].sum())
    if len(broken) == 0:
        return Challenged(len(index), count, 0, None)
    changed = differences(stored(candidates[fresh], True), clean.images[fresh])
    path = _keep(subject, threat, source, broken, changed)
    return Challenged(len(index), count, len(broken), path)


def _stands(folder: Path, places: Places) -> Subject:
    """The record on its model, both as recorded; raises UserError where they are not."""
    inspected = inspect(folder)
    try:
        subject = open_subject(folder, inspected.record, inspected.outcomes, places, seed=0)
        model_again(subject)
    except NotDone as reason:
        raise UserError(f"expected a record whose model can be judged, got: {reason}") from reason
    return subject


def _held(subject: Subject, norm: str, eps: float) -> tuple[Threat, np.ndarray]:
    """The record's threat, and which judged images nothing has broken under it: bool (N,)."""
    known = {}
    for score in worst_cases(subject.outcomes, subject.record.budgets()):
        if score.eps:
            known[score.norm, score.eps] = score.right
    found = [place for place in known if place[0] == norm and abs(place[1] - eps) <= SLACK]
    if not found:
        threats = ", ".join(f"{n} {eps_text(e)}" for n, e in sorted(known)) or "none"
        raise UserError(f"expected a threat of the record ({threats}), got {norm} {eps_text(eps)}")
    place = found[0]
    held = known[place].copy()
    if (subject.folder / f"{AUDIT_TABLE}.parquet").is_file():
        for number, audit in enumerate(subject.record.audit):
            if (audit.norm, audit.eps) == place:
                table = read_audit_table(subject.folder, number)
                held[table["position"]] &= table["held"].astype(bool)
    for earlier in read_challenges(subject.folder):
        if (earlier.norm, earlier.eps) == place:
            held[np.array(earlier.broken)[broken_by(subject, earlier)]] = False
    return Threat(*place), held


def _index(path: Path, judged: int) -> torch.Tensor:
    """Positions of the examples' images among the judged ones: int64, increasing."""
    found = header(path, "index")
    if found is None:
        return torch.arange(judged)
    if len(found[0]) != 1 or not 0 < found[0][0] <= judged:
        raise UserError(f"expected 1 to {judged} positions as index in {path}, got {found[0]}")
    index = read_array(path, "index", found[0], ("int64", "int32")).astype(np.int64)
    if index[0] < 0 or index[-1] >= judged or (np.diff(index) <= 0).any():
        raise UserError(f"expected increasing positions from 0 to {judged - 1} as index in {path}")
    return torch.from_numpy(index)


def _candidates(path: Path, clean: torch.Tensor) -> torch.Tensor:
    """The file's images: float32 in [0,1], shape of `clean`."""
    if header(path, "images") is None:
        raise UserError(
            f"expected the array images, of shape {tuple(clean.shape)}, and index for some of the "
            f"judged images, in {path}, got none of that name"
        )
    images = torch.from_numpy(read_array(path, "images", tuple(clean.shape), ("uint8", "float32")))
    return images.float() / 255 if images.dtype == torch.uint8 else images


def _require_legal(
    threat: Threat, candidates: torch.Tensor, images: torch.Tensor, index: torch.Tensor
) -> None:
    legal = threat.contains(candidates, images)
    if bool(legal.all()):
        return
    first = int((~legal).nonzero()[0, 0])
    far = float(distance(candidates[[first]], images[[first]], threat.norm))
    raise UserError(
        f"expected examples on the 8-bit grid within {threat.norm} {threat.eps:.6g} of the judged "
        f"images, got one at position {int(index[first])}, at distance {far:.6g} or between two "
        "steps"
    )


def _keep(
    subject: Subject, threat: Threat, source: str, broken: torch.Tensor, changed: np.ndarray
) -> Path:
    """Write both files beside the record's folder, and move them in when they are whole."""
    home = subject.folder.resolve()
    work = work_beside(home)
    try:
        work.mkdir()
        examples = work / "examples.npz"
        np.savez_compressed(examples, images=changed)
        said = {
            "norm": threat.norm,
            "eps": threat.eps,
            "source": source,
            "date": datetime.now(UTC).date().isoformat(),
            "broken": broken.tolist(),
            "examples": file_hash(examples),
        }
        kept = Challenge.model_validate(said)
        written = write_challenge(kept, work)
        # A challenge without its examples would be a damaged one.
        examples.rename(examples_file(subject.folder, kept))
        return written.rename(subject.folder / written.name)
    except OSError as error:
        raise CacheError(
            f"expected to write beside {home}, got: {error}; free some space or copy the record"
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
