"""A sample of the certificates drawn again, from the same seed, on the model that was kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from robench.base.seeds import derive, seed_scope
from robench.base.stats import at_most
from robench.core.record import BrokenCertificate
from robench.plugin.registry import registry
from robench.records.arrays import BROKEN
from robench.records.examples import load_examples
from robench.records.store import EXAMPLES
from robench.records.support.attacked import allowed, sentence
from robench.records.support.votes import radii_asked
from robench.records.tables import read_columns
from robench.replay.steps import NotDone, Refuted
from robench.replay.subject import Subject
from robench.run.certificates import search
from robench.smoothing import SmoothedDeployed, crosscheck, to_pixels

TABLE = "certificates"
IMAGES, FEWER, MANY = 8, 4, 50_000
"""Images certified again; so few where the certifier's own option allows more draws an image than
that. What the record claims has no say in it."""
ASKED, VOTES = 50, 5_000
"""Certificates that fresh votes are held against, those that reach furthest, and votes for each: of
50 lifted from 0.25 to 0.5 where no attack breaks them, these forbid 19 to 22.
"""
SURPRISE, SURE = 1e-4, 1 - 1e-12
"""The chance of so few votes that forbids a radius; the largest share that one may need."""
ONE_CLASS = ("cohen", "sequential", "adaptive")
"""Certifiers whose radius follows from the probability of one label alone."""
COLUMNS = ("image", "label", "prediction", "radius2", "hits", "draws", "seed")
FLOATS = 0.05
"""Share by which the squared radius of a float certificate may differ on another machine."""


def certifies(subject: Subject) -> bool:
    """Whether the record says anything about certificates."""
    values = any("certifi" in value.metric for value in subject.record.values)
    return values or (subject.folder / f"{TABLE}.parquet").is_file()


def certified_again(subject: Subject) -> str:
    """Whether certificates drawn again have the recorded label and radius."""
    path = subject.folder / f"{TABLE}.parquet"
    if not certifies(subject):
        raise NotDone("the record certifies nothing")
    if not path.is_file():
        raise NotDone("the record keeps no table of its certificates")
    certifiers = subject.stages.config.certifier
    if not certifiers:
        raise NotDone(f"its certifier is not known here: {', '.join(subject.unknown.values())}")
    deployed = subject.system.deployed
    if not isinstance(deployed, SmoothedDeployed):
        raise Refuted("certificates of a model that is not smoothed")
    table = read_columns(path)
    if missing := set(COLUMNS) - set(table):
        raise Refuted(f"the table of certificates has no column {', '.join(sorted(missing))}")
    numbers, everything = table["image"].astype(np.int64), subject.stages.data.test
    if (
        len(set(numbers.tolist())) != len(numbers)
        or not ((numbers >= 0) & (numbers < len(everything))).all()
    ):
        raise Refuted("the certified images are not images of the test set, each once")
    if not np.array_equal(everything.labels.numpy()[numbers], table["label"]):
        raise Refuted("the true labels of the certified images are not the data set's")
    if set(table["seed"].tolist()) != {subject.stages.certify_seed}:
        raise Refuted("the noise of the certificates is not that of the run's seed")
    _votes_allow(subject, table)
    _require_version(subject)
    rows = _sample(subject, len(numbers))
    test = everything.take(torch.from_numpy(numbers[rows]))
    source = deployed.votes(test.images.numpy(), subject.stages.certify_seed, numbers[rows])
    radii = radii_asked(subject.record.config)
    found = next(iter(certifiers.values())).certify(source, np.arange(len(rows)), radii)
    for at, row in enumerate(rows):
        recorded = [int(table[name][row]) for name in ("prediction", "radius2")]
        now = [int(found.prediction[at]), int(found.radius2[at])]
        near = abs(recorded[1] - now[1]) <= FLOATS * max(now[1], 1)
        draws = [int(found.draws[at]), int(found.hits[at])]
        told = [int(table[name][row]) for name in ("draws", "hits")]
        if deployed.exact and draws != told:
            raise Refuted(
                f"image {numbers[row]} has {told} draws and hits in the record, and {draws} when "
                "it is certified again"
            )
        if recorded[0] != now[0] or not (near if not deployed.exact else recorded[1] == now[1]):
            raise Refuted(
                f"image {numbers[row]} has label and squared radius {recorded} in the record, and "
                f"{now} when it is certified again"
            )
    given = int((found.prediction >= 0).sum())
    exactly = "the same" if deployed.exact else f"the same within {FLOATS:.0%}"
    return (
        f"{len(rows)} of {len(numbers)} images certified again, {given} with a label: "
        f"labels and radii are {exactly}; {_attacked_again(subject, table)}"
    )


def _require_version(subject: Subject) -> None:
    """Raise NotDone for a record whose certifier drew by other rules than the installed one's."""
    ((name, _),) = subject.record.config["certifier"].items()
    key = f"certifier.{name}"
    made = subject.record.provenance.components.get(key, "").rpartition(" / ")[2]
    installed = registry().get("certifier", name).cls.version
    if made != installed:
        by = f"version {made}" if made else "an older version"
        raise NotDone(
            f"certified by {by} of {key}, whose draws version {installed} does not repeat; fresh "
            "votes allow its radii"
        )


def _attacked_again(subject: Subject, table: Mapping[str, np.ndarray]) -> str:
    """Whether certificates break as the record says: its own examples, and a search anew."""
    audit, certifier = subject.record.certificates, next(iter(subject.stages.config.certifier))
    claims = {name: table[name].astype(np.int64) for name in ("image", "prediction", "radius2")}
    with seed_scope(derive(subject.seed, "certificates")):
        if audit is not None:
            _broken_again(subject, audit.broken)
        attacked, hits = search(subject.stages, claims, "quick")
    count = int((claims["radius2"] > 0).sum())
    alpha = float(subject.stages.config.certifier[certifier].alpha)
    found = sentence(certifier, attacked, count, alpha, [broken.image for broken, _ in hits])
    if len(hits) > allowed(count, alpha) and not (audit is not None and audit.refuted):
        raise Refuted(f"certificates that the record does not call broken do break: {found}")
    return found


def _broken_again(subject: Subject, broken: Sequence[BrokenCertificate]) -> None:
    """Raise Refuted unless each recorded change breaks its certificate by fresh votes."""
    if not broken:
        return
    deployed = subject.system.deployed
    assert isinstance(deployed, SmoothedDeployed)
    numbers = torch.tensor([one.image for one in broken])
    clean = subject.stages.data.test.take(numbers).images
    found = load_examples(subject.folder / EXAMPLES, BROKEN, clean)
    pixels, labels = to_pixels(found), np.array([one.label for one in broken])
    seed = int(torch.randint(2**62, ()))
    hits = {
        hit.position: hit
        for hit in crosscheck.judged(deployed, clean.numpy(), pixels, labels, seed)
    }
    for at, one in enumerate(broken):
        if at not in hits or hits[at].length2 != one.length2:
            raise Refuted(
                f"the change that is recorded to break the certificate of image {one.image} does "
                "not break it, or has another length"
            )


def _votes_allow(subject: Subject, table: Mapping[str, np.ndarray]) -> None:
    """Raise Refuted where fresh votes forbid more of the claimed radii than alpha explains.

    A radius r needs a label of probability Phi(r / s). Votes under other noise than the certifier's
    contradict it where such a label gets so few of them with a probability below SURPRISE: of a
    sound certifier, each image does with alpha + SURPRISE at most, whichever of them are asked.
    """
    from scipy import special

    ((name, certifier),) = subject.stages.config.certifier.items()
    deployed = subject.system.deployed
    assert isinstance(deployed, SmoothedDeployed)
    rows = np.flatnonzero(table["radius2"] > 0)
    if name not in ONE_CLASS or len(rows) == 0:
        return
    numbers, labels, radius2 = (
        table[column][rows].astype(np.int64) for column in ("image", "prediction", "radius2")
    )
    pixels = subject.stages.data.test.take(torch.from_numpy(numbers)).images.numpy()
    seeds = [derive(subject.seed, TABLE, part) for part in ("nearest", "votes")]
    near = crosscheck.nearest(deployed, pixels, labels, radius2, ASKED, seeds[0])
    counts = deployed.votes(pixels[near], seeds[1]).votes(np.arange(len(near)), 0, VOTES)
    needed = special.ndtr(np.sqrt(radius2[near]) / (255 * float(deployed.noise.sigma)))
    false = [
        int(numbers[row])
        for row, votes, share in zip(near, counts, needed, strict=True)
        if at_most(int(votes[labels[row]]), VOTES, min(float(share), SURE)) < SURPRISE
    ]
    alpha = float(certifier.alpha)
    if len(false) > (chance := allowed(len(rows), alpha + SURPRISE)):
        raise Refuted(
            f"fresh votes forbid the radii of {len(false)} of {len(rows)} certified images (image "
            f"{false[0]} and others), where alpha {alpha:g} explains {chance}"
        )


def _sample(subject: Subject, count: int) -> np.ndarray:
    """Rows of the table, all alike to be drawn."""
    (certifier,) = subject.stages.config.certifier.values()
    most = FEWER if getattr(certifier, "n2", 0) > MANY else IMAGES
    return subject.draw(TABLE, np.arange(count), most, ordered=False)
