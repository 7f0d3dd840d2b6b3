"""The certificates of a run, attacked inside their own balls; who made them does not judge them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from robench.base.errors import PluginError
from robench.base.hashing import digest
from robench.base.seeds import derive, generator, seed_scope
from robench.core.outcomes import ABSTAIN
from robench.core.record import BrokenCertificate, CertificateAudit
from robench.plugin import guest
from robench.records.arrays import BROKEN
from robench.records.support.attacked import ATTACKED, allowed, sentence
from robench.records.support.votes import CERTIFICATES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from robench.run.evidence import RunEvidence
    from robench.run.stages import Stages
    from robench.search import Budget
    from robench.smoothing.crosscheck import Hit

    Table = Mapping[str, NDArray[np.int64]]

BUDGETS: Mapping[str, Budget] = {"quick": "quick", "full": "whole"}
"""What the strongest search spends at each level of the audit."""


def attack_certificates(evidence: RunEvidence) -> CertificateAudit | None:
    """Attack those certificates of the run that reach furthest; None where there are none to judge.

    The broken ones' examples are added to the evidence.
    """
    stages, table = evidence.stages, evidence.tables.get(CERTIFICATES)
    level = stages.config.audit.level
    if table is None or level == "off":
        return None
    claims = _claims(table, evidence)
    inputs = {
        "claims": digest({name: column.tolist() for name, column in claims.items()}),
        "data": stages.data.hash,
        "level": level,
        "seed": stages.config.seed,
        **stages.environment,
    }

    def make() -> dict[str, Any]:
        with seed_scope(derive(stages.config.seed, "certificates")):
            attacked, hits = guest.call(stages.system_name, search, stages, claims, level)
        found = [{**dict(broken), "pixels": pixels.tolist()} for broken, pixels in hits]
        return {"attacked": attacked, "broken": found}

    stored = stages.cached("certificates", inputs, make)
    return _audit(evidence, claims, stored)


def search(
    stages: Stages, claims: Table, level: str
) -> tuple[int, list[tuple[BrokenCertificate, NDArray[np.uint8]]]]:
    """Attack the certificates that reach furthest: how many, and each that broke with its image.

    `claims` are columns: image (number in the test set), prediction and radius2, a row a
    certificate. Random numbers are seeded by torch's global generator.
    """
    from robench.smoothing import SmoothedDeployed, crosscheck

    deployed, labels = stages.system.deployed, claims["prediction"]
    assert isinstance(deployed, SmoothedDeployed)
    pixels = stages.data.test.take(torch.from_numpy(claims["image"])).images.numpy()
    seed = int(torch.randint(2**62, ()))
    rows = crosscheck.nearest(deployed, pixels, labels, claims["radius2"], ATTACKED[level], seed)
    hits = crosscheck.attack(
        deployed,
        guest.own_twin(stages.system),
        pixels[rows],
        labels[rows],
        claims["radius2"][rows],
        generator(seed),
        BUDGETS[level],
    )
    return len(rows), [(_broken(hit, claims, int(rows[hit.position])), hit.pixels) for hit in hits]


def _broken(hit: Hit, claims: Table, row: int) -> BrokenCertificate:
    return BrokenCertificate(
        image=int(claims["image"][row]),
        label=int(claims["prediction"][row]),
        found=hit.found,
        radius2=int(claims["radius2"][row]),
        length2=hit.length2,
        votes=hit.votes,
        draws=hit.draws,
    )


def _claims(table: Mapping[str, Any], evidence: RunEvidence) -> Table:
    """Images, labels and radii of a table of certificates; PluginError for what is none."""
    name, certifier = evidence.certifier
    if not 0 < certifier.alpha < 0.5:
        raise PluginError(f"expected 0 < alpha < 0.5 of certifier {name}, got {certifier.alpha}")
    claims = {key: np.asarray(table[key]) for key in ("image", "prediction", "radius2")}
    labels, radius2 = claims["prediction"], claims["radius2"]
    whole = all(column.dtype.kind == "i" for column in claims.values())
    classes = len(evidence.data.classes)
    if not whole or labels.min() < ABSTAIN or labels.max() >= classes or radius2.min() < ABSTAIN:
        raise PluginError(
            f"expected labels {ABSTAIN}..{classes - 1} and whole squared radii from {ABSTAIN} on "
            f"of certifier {name}"
        )
    return {key: column.astype(np.int64) for key, column in claims.items()}


def _audit(evidence: RunEvidence, claims: Table, stored: Mapping[str, Any]) -> CertificateAudit:
    name, certifier = evidence.certifier
    found, pixels = [], []
    for one in stored["broken"]:
        pixels.append(np.array(one.pop("pixels"), dtype=np.uint8))
        found.append(BrokenCertificate.model_validate(one))
    if found:
        numbers = torch.tensor([broken.image for broken in found])
        clean = evidence.data.test.take(numbers).images.numpy()
        evidence.arrays[BROKEN] = np.stack(pixels) - clean
    count = int((claims["radius2"] > 0).sum())
    alpha, attacked = float(certifier.alpha), int(stored["attacked"])
    return CertificateAudit(
        certifier=name,
        alpha=alpha,
        certificates=count,
        attacked=attacked,
        allowed=allowed(count, alpha),
        broken=tuple(found),
        sentence=sentence(name, attacked, count, alpha, [broken.image for broken in found]),
    )
