"""Certified values and predictions by vote, held against the tables of votes beside a record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from robench.base.errors import UserError
from robench.core.names import spelled
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
    return _own_radii(config) or tuple(config["metric"]["certified"]["radii"])


def tested(config: Mapping[str, Any], radius: float) -> bool:
    """Whether a run's certificates say of every image if it reaches a radius in [0,1] units."""
    listed = any(name in LISTED for name in config.get("certifier", {}))
    return not listed or radius in radii_asked(config)


def _own_radii(config: Mapping[str, Any]) -> tuple[float, ...]:
    """The radii among the certifier's options, which older records have there; empty: none."""
    ((name, options),) = config["certifier"].items()
    return tuple(options.get("radii", ())) if name in LISTED else ()


def check_certificates(record: Record, outcomes: Outcomes, folder: Path) -> Iterator[str]:
    """Yield what no table supports; raises UserError for certificates that cannot be."""
    found = [value for value in record.values if spelled(value.metric) in CERTIFIED]
    options = record.config["metric"].get("certified")
    path = folder / f"{CERTIFICATES}.parquet"
    if not path.exists():
        if found or options is not None:
            yield "certified values: no certificates table"
        return
    if options is None:
        raise UserError(f"expected the metric certified in the configuration, for {path.name}")
    table = certificate_table(path)
    _check_images(table, outcomes, options)
    about = _about(found, record)
    unknown = _check_votes(table, record, about)
    wanted = _certified(table, options["radii"], _grid(found, record), about)
    require_values(found, list(wanted), path.name)
    if unknown:
        yield unknown
    if beside := [radius for radius in options["radii"] if not tested(record.config, radius)]:
        radii = ", ".join(f"{radius:g}" for radius in beside)
        yield f"certified values at radius {radii}, which the certifier did not test"


def check_predictions(record: Record, outcomes: Outcomes, folder: Path) -> Iterator[str]:
    """Yield what no table supports; raises UserError for predictions that cannot be."""
    found = [value for value in record.values if spelled(value.metric) in PREDICTED]
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


def certificate_table(path: Path) -> Table:
    """The table of certificates, a row an image; raises UserError for another table."""
    return _table(path, COUNTS)


def certified_at(table: Table, radius: float) -> NDArray[np.bool_]:
    """Which of a table's images are certified right at a radius in [0,1] units."""
    right: NDArray[np.bool_] = table["prediction"] == table["label"]
    return right & (table["radius2"] >= _squared(radius))


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


def _grid(found: Sequence[Value], record: Record) -> str | None:
    """The radii that were tested, as the axis of the average radius says them; None: any.

    Only of a certifier that is not robench's the values themselves are asked.
    """
    (name,) = record.config["certifier"]
    if name in LISTED:
        radii = radii_asked(record.config)
        return None if _own_radii(record.config) else " ".join(f"{radius:g}" for radius in radii)
    said = [v.axes.get("grid") for v in found if v.metric == "average_certified_radius"]
    return said[0] if name != "cohen" and len(said) == 1 else None  # type: ignore[return-value]


def _certified(
    table: Table, radii: Sequence[float], grid: str | None, about: Mapping[str, Axis]
) -> Iterator[Value]:
    labels, prediction, radius2 = table["label"], table["prediction"], table["radius2"]
    n, given, right = len(labels), prediction != ABSTAIN, prediction == labels
    listed = set(radii) | {0.0} if grid is None else set(map(float, str(grid).split()))
    for radius in radii:
        axes = {**about, "radius": radius}
        reached, known = radius2 >= _squared(radius), radius in listed
        yield _share("certified_accuracy", known, (right & reached).sum(), n, axes)
        yield _share("certified_percentage_at", known, reached.sum(), n, axes)
        some = known and 0 in listed and given.any()
        printed = float((right & reached)[given].mean()) if some else None
        yield Value(metric="certified_accuracy_eq10", value=printed, unit="share", axes=axes)
    axes, known = dict(about), 0 in listed
    yield _share("certified_percentage", known, given.sum(), n, axes)
    abstained = n - given.sum()
    yield _share("certificate_abstention", known, abstained, n, axes, better="lower")
    mean = float((np.sqrt(np.where(right, radius2, 0)) / 255).mean())
    on = axes if grid is None else axes | {"grid": grid}
    unit = "[0,1] L2"
    yield Value(metric="average_certified_radius", value=mean, n=n, unit=unit, axes=on)
    draws = float(table["draws"].mean())
    yield Value(metric="draws_per_image", value=draws, n=n, better="lower", axes=axes)


def _share(
    metric: str,
    known: bool,
    hits: int,
    n: int,
    axes: dict[str, Axis],
    better: Literal["higher", "lower"] = "higher",
) -> Value:
    """A share, blank where the radius was not tested."""
    if known:
        return share(metric, hits, n, axes, better)
    return Value(metric=metric, value=None, unit="share", better=better, axes=axes)


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
