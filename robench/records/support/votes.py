"""Certified values and predictions by vote, held against the tables of votes beside a record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from robench.base.errors import UserError
from robench.core.outcomes import ABSTAIN, Outcomes
from robench.core.record import Axis, Record, Value, share
from robench.records.support.values import require_values
from robench.records.tables import read_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Table = Mapping[str, NDArray[Any]]

CERTIFICATES, PREDICTIONS = "certificates", "predictions"
"""The tables that the metrics `certified` and `smoothed_prediction` add."""
CERTIFIED = (
    "certified_accuracy",
    "certified_percentage_at",
    "certified_accuracy_eq10",
    "certified_percentage",
    "certificate_abstention",
    "average_certified_radius",
    "draws_per_image",
)
PREDICTED = ("prediction_accuracy", "prediction_abstention")
LISTED = ("sequential", "adaptive")
"""Certifiers that test a list of radii; of others nothing is known of in between."""
COUNTS = ("image", "label", "prediction", "radius2", "hits", "draws", "seed")


def radii_asked(config: Mapping[str, Any]) -> tuple[float, ...]:
    """The radii that a run's certifier was handed, in [0,1] units, by the run's configuration.

    Those of the metric; older records have them among the options of the certifier.
    """
    ((name, options),) = config["certifier"].items()
    own = options.get("radii") if name in LISTED else None
    return tuple(own or config["metric"]["certified"]["radii"])


def check_certificates(record: Record, outcomes: Outcomes, folder: Path) -> Iterator[str]:
    """Yield what no table supports; raises UserError for certificates that cannot be."""
    found = [value for value in record.values if value.metric in CERTIFIED]
    options = record.config["metric"].get("certified")
    path = folder / f"{CERTIFICATES}.parquet"
    if not path.exists():
        if found or options is not None:
            yield "certified values: no certificates table"
        return
    if options is None:
        raise UserError(f"expected the metric certified in the configuration, for {path.name}")
    table = _table(path, COUNTS)
    _check_images(table, outcomes, options)
    about = _about(found, record)
    unknown = _check_votes(table, record, about)
    require_values(found, list(_certified(table, options["radii"], about)), path.name)
    if unknown:
        yield unknown


def check_predictions(record: Record, outcomes: Outcomes, folder: Path) -> Iterator[str]:
    """Yield what no table supports; raises UserError for predictions that cannot be."""
    found = [value for value in record.values if value.metric in PREDICTED]
    options = record.config["metric"].get("smoothed_prediction")
    path = folder / f"{PREDICTIONS}.parquet"
    if not path.exists():
        if found or options is not None:
            yield "predictions by vote: no predictions table"
        return
    if options is None:
        raise UserError(
            f"expected the metric smoothed_prediction in the configuration, for {path.name}"
        )
    table = _table(path, ("image", "label", "draws", "prediction"))
    if set(table["draws"].tolist()) != set(options["draws"]):
        raise UserError(f"expected predictions by {options['draws']} draws in {path.name}")
    noise, wanted = _noise(record), list[Value]()
    for draws in sorted(options["draws"]):
        part = {name: column[table["draws"] == draws] for name, column in table.items()}
        _check_images(part, outcomes, options)
        axes: dict[str, Axis] = {"draws": draws, "alpha": options["alpha"]}
        axes["sigma"] = noise[0] if noise else _stated(found, "sigma")
        right, given = part["prediction"] == part["label"], part["prediction"] != ABSTAIN
        n = len(right)
        wanted.append(share("prediction_accuracy", right.sum(), n, axes))
        wanted.append(share("prediction_abstention", n - given.sum(), n, axes, better="lower"))
    require_values(found, wanted, path.name)


def _table(path: Path, columns: Sequence[str]) -> Table:
    table = read_columns(path)
    for name in columns:
        if name not in table or table[name].dtype.kind not in "iu":
            raise UserError(f"expected a column {name} of whole numbers in {path.name}")
    if not len(table[columns[0]]):
        raise UserError(f"expected images in {path.name}, got none")
    return table


def _check_images(table: Table, outcomes: Outcomes, options: Mapping[str, Any]) -> None:
    """The images are those that the metric takes, with the labels that the outcomes give them."""
    images, clean, every = table["image"], outcomes.clean, options.get("every")
    if every is None:
        n = min(options["images"], len(clean))
        wanted = clean.image[np.arange(n) * len(clean) // n]
    else:
        # How many there are depends on the test set, whose size only its judged images bound.
        last = int(clean.image.max())
        n = max(len(images), min(options["images"], last // every + 1))
        wanted = np.arange(min(n, options["images"])) * every
    if not np.array_equal(images, wanted):
        raise UserError("expected votes on the images that the configuration names, got others")
    known = dict(zip(clean.image.tolist(), clean.label.tolist(), strict=True))
    labels = zip(images.tolist(), table["label"].tolist(), strict=True)
    if any(known.get(image, label) != label for image, label in labels) or table["label"].min() < 0:
        raise UserError("expected the labels of the outcomes in the table of votes, got others")


def _noise(record: Record) -> tuple[float, str] | None:
    """Sigma and law of the smoothing defense; None where none is known by these options."""
    found = [one for one in record.config["defense"].values() if {"sigma", "law"} <= set(one)]
    return (float(found[0]["sigma"]), str(found[0]["law"])) if len(found) == 1 else None


def _stated(found: Sequence[Value], axis: str) -> Axis:
    """What all values say of an axis."""
    said = {value.axes.get(axis) for value in found}
    if len(said) != 1:
        raise UserError(f"expected values by vote to share one {axis}, got {len(said)}")
    return said.pop()


def _about(found: Sequence[Value], record: Record) -> dict[str, Axis]:
    """What the certificates hold under, as all values say it, and the configuration does."""
    ((name, options),) = record.config["certifier"].items()
    noise, wanted = _noise(record), {"certifier": name}
    wanted |= {"alpha": float(options["alpha"])} if "alpha" in options else {}
    wanted |= dict(zip(("sigma", "law"), noise, strict=True)) if noise else {}
    said = {axis: _stated(found, axis) for axis in ("certifier", "alpha", "sigma", "law", "exact")}
    if not wanted.items() <= said.items():
        raise UserError(
            f"expected certified values under the configuration's certifier and noise, got {said}"
        )
    return said


def _certified(table: Table, radii: Sequence[float], about: Mapping[str, Axis]) -> Iterator[Value]:
    labels, prediction, radius2 = table["label"], table["prediction"], table["radius2"]
    n, given, right = len(labels), prediction != ABSTAIN, prediction == labels
    for radius in radii:
        axes = {**about, "radius": radius}
        reached = radius2 >= _squared(radius)
        yield share("certified_accuracy", (right & reached).sum(), n, axes)
        yield share("certified_percentage_at", reached.sum(), n, axes)
        printed = float((right & reached)[given].mean()) if given.any() else None
        yield Value(metric="certified_accuracy_eq10", value=printed, unit="share", axes=axes)
    axes = dict(about)
    yield share("certified_percentage", given.sum(), n, axes)
    yield share("certificate_abstention", n - given.sum(), n, axes, better="lower")
    mean = float((np.sqrt(np.where(right, radius2, 0)) / 255).mean())
    unit = "[0,1] L2"
    yield Value(metric="average_certified_radius", value=mean, n=n, unit=unit, axes=axes)
    draws = float(table["draws"].mean())
    yield Value(metric="draws_per_image", value=draws, n=n, better="lower", axes=axes)


def _squared(radius: float) -> int:
    """The largest squared 8-bit length within a radius in [0,1] units."""
    return int((255 * Fraction(str(radius))) ** 2)


# -- radii from votes ------------------------------------------------------------------------------


def _check_votes(table: Table, record: Record, about: Mapping[str, Axis]) -> str:
    """No radius is larger than its votes allow; returns what cannot be said, or nothing."""
    # Few records certify, and tables of radii take longer to load than a record to read.
    from robench.smoothing import Adaptive, Cohen, Noise, Sequential
    from robench.smoothing.limits import draws_possible, most_certified

    ((name, options),) = record.config["certifier"].items()
    hits, draws, radius2 = table["hits"], table["draws"], table["radius2"]
    abstained = table["prediction"] == ABSTAIN
    if not np.array_equal(abstained, radius2 == ABSTAIN) or radius2.min() < ABSTAIN:
        raise UserError("expected a certified radius exactly where there is a label")
    if table["prediction"].min() < ABSTAIN or (hits < 0).any() or (hits > draws).any():
        raise UserError("expected labels, and votes among the draws, in the table of certificates")
    rules = {"cohen": Cohen, "sequential": Sequential, "adaptive": Adaptive}
    if name not in rules or _noise(record) is None:
        return f"certified radii by {name}: no rule known for this certifier and noise"
    known = {field.name for field in fields(rules[name])}
    if strange := set(options) - known - ({"radii"} if name in LISTED else set()):
        raise UserError(f"expected options of {name}, got {', '.join(sorted(strange))}")
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items() if k in known}
    rule: Any = rules[name](**given)
    if not np.isin(draws, draws_possible(rule)).all():
        raise UserError(f"expected numbers of draws at which {name} may stop, got others")
    noise = Noise(sigma=Fraction(str(about["sigma"])), law=str(about["law"]))
    excess = radius2 > most_certified(rule, noise, hits, draws, radii_asked(record.config))
    if excess.any():
        image = int(table["image"][excess][0])
        raise UserError(f"expected radii that the votes allow, got a larger one of image {image}")
    return ""
