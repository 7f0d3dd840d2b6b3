"""The audit of a record's certificates: its words, and whether it follows from what is stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from robench.base.errors import UserError
from robench.base.files import has_file
from robench.base.stats import explained
from robench.core.record import BrokenCertificate, CertificateAudit, Record
from robench.records.arrays import BROKEN
from robench.records.store import EXAMPLES
from robench.records.support.votes import CERTIFICATES, certificate_table

ATTACKED: Mapping[str, int] = {"quick": 50, "full": 200}
"""Certificates that are attacked at each level of the audit, at most."""
CHANCE = 1e-6
"""The chance that a sound certifier is accused."""
NAMED = 10
"""Images that a sentence names at most."""


def allowed(certificates: int, alpha: float) -> int:
    """False ones that chance explains among certificates each false with probability alpha.

    More are found of a sound certifier with probability `CHANCE` at most, whichever of them are
    attacked: no choice breaks more than are false.
    """
    return explained(certificates, alpha, CHANCE)


def sentence(
    certifier: str, attacked: int, certificates: int, alpha: float, images: Sequence[int]
) -> str:
    """What attacking certificates found; `images` are those whose certificate broke."""
    of = f"{attacked} of {certificates} certificates by {certifier} were attacked in their balls"
    if not images:
        return f"{of}; none broke"
    named = ", ".join(map(str, images[:NAMED])) + (", ..." if len(images) > NAMED else "")
    chance = allowed(certificates, alpha)
    meaning = (
        "no certificate of this certifier stands"
        if len(images) > chance
        else "as many as may be false"
    )
    many = f"{len(images)} broke (image{'s' * (len(images) > 1)} {named})"
    return f"{of}; {many}, where alpha {alpha:g} explains {chance}: {meaning}"


def check_attacked(record: Record, folder: Path) -> Iterator[str]:
    """Yield what nothing stored supports; raises UserError for an audit that cannot be."""
    audit, table_there = record.certificates, has_file(folder, f"{CERTIFICATES}.parquet")
    kept = table_there and _kept(audit.broken if audit else (), folder / EXAMPLES)
    if audit is None:
        return
    level = record.config["audit"].get("level")
    if level not in ATTACKED or not table_there:
        raise UserError("expected attacked certificates where a run certifies and audits, got some")
    table = certificate_table(folder / f"{CERTIFICATES}.parquet")
    certificates = int((table["radius2"] > 0).sum())
    ((name, options),) = record.config["certifier"].items()
    alpha = float(options.get("alpha", audit.alpha))
    if (audit.certifier, audit.alpha) != (name, alpha) or not 0 < alpha < 1:
        raise UserError(f"expected certificates by {name} at alpha {alpha:g} to be attacked")
    images = [broken.image for broken in audit.broken]
    attacked = min(ATTACKED[level], certificates)
    wanted = CertificateAudit(
        certifier=name,
        alpha=alpha,
        certificates=certificates,
        attacked=attacked,
        allowed=allowed(certificates, alpha),
        broken=audit.broken,
        sentence=sentence(name, attacked, certificates, alpha, images),
    )
    if audit != wanted:
        raise UserError(
            f"expected of {certificates} certificates that the audit says: {wanted.sentence}"
        )
    rows = {int(image): row for row, image in enumerate(table["image"])}
    if len(set(images)) != len(images) or len(images) > attacked or not set(images) <= set(rows):
        raise UserError("expected broken certificates of certified images, each once")
    for broken in audit.broken:
        row = rows[broken.image]
        _check_broken(broken, int(table["prediction"][row]), int(table["radius2"][row]))
    if audit.broken and not kept:
        yield "broken certificates: no examples"


def _kept(broken: Sequence[BrokenCertificate], path: Path) -> bool:
    """Whether the examples hold an image of each broken certificate; raises UserError for others
    than these."""
    if not broken:
        return False
    # Examples need torch, which reading most records does not.
    from robench.records.examples import header

    kept = header(path, BROKEN) if path.is_file() else None
    shape = kept[0] if kept else ()
    if kept and shape[:1] != (len(broken),):
        raise UserError(
            f"expected {len(broken)} images of broken certificates in {path.name}, as the record "
            f"names them, got {shape[0] if shape else 'none'}"
        )
    return kept is not None


def _check_broken(broken: BrokenCertificate, label: int, radius2: int) -> None:
    name = f"the broken certificate of image {broken.image}"
    if (broken.label, broken.radius2) != (label, radius2) or radius2 <= 0:
        raise UserError(f"expected label {label} and squared radius {radius2} of {name}")
    if broken.length2 > radius2 or broken.found in (label, -1) or broken.votes > broken.draws:
        raise UserError(f"expected another label within the radius of {name}, by its votes")
