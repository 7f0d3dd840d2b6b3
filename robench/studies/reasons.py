"""Why claims end as they do: words, and the facts in records that the words' numbers are read from.

A file of reasons is YAML, by claim:

    S7:
      words: ours, after 12 epochs, leaves 64.7 under PGD, the paper's 39.9; its margin is 4.2.
      read from:
        - {record: e290a761573ce874, metric: attacked_accuracy, axes: {attack: pgd}, says: "64.7"}
        - {record: e290a761573ce874, field: config.train.epochs, says: "12"}
      given: ["39.9"]
      unbacked: ["4.2"]

Every number of the words stands in one of the three: read from a record, given (the paper's, or a
setting), or backed by no record here. A fact may subtract what another record says (`less`) or
divide by it (`over`). It says a number with its rounding, `A to B` or `at most B`; shares are in
percent, but for those written from the point (`.57`).
"""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from typing import Any, Literal

import yaml
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from robench.base.errors import UserError
from robench.base.text import one_line
from robench.base.yaml_text import read_yaml
from robench.core.record import Axis, Frozen, Record
from robench.studies.run import Records

MAX_BYTES = 256 * 2**10
_NUMBER = r"[-+]?(?:\d+(?:,\d{3})*(?:\.\d+)?|\.\d+)"
NUMBER = re.compile(rf"(?<![\w.|/])(?<!\w-){_NUMBER}(?![\w/])")
"""A number of the words; the digits of conv2, CIFAR-10, 8/255 and ||W||_2 belong to a name."""
SAYS = re.compile(rf"(?P<below>at most )?(?:(?P<least>{_NUMBER}) to )?(?P<most>{_NUMBER})")


class Fact(Frozen):
    """One number, and the record that says so."""

    record: str
    less: str = ""
    over: str = ""
    metric: str = ""
    axes: dict[str, Axis] = Field(default_factory=dict)
    """Those of the value's axes that tell it from the metric's others."""
    part: Literal["value", "low", "high", "n"] = "value"
    """Of the value: itself, an end of its interval, or how many images it comes from."""
    field: str = ""
    """In place of a metric: a path in the record, as `config.train.epochs`."""
    says: str

    @model_validator(mode="after")
    def _one_thing(self) -> Fact:
        if bool(self.metric) == bool(self.field) or (self.less and self.over):
            raise ValueError("expected either a metric or a field, and at most one of less, over")
        if not SAYS.fullmatch(self.says):
            raise ValueError(f"expected a number, 'A to B' or 'at most B', got {self.says!r}")
        return self

    @property
    def records(self) -> tuple[str, ...]:
        """The ids of the records that it is read from."""
        return tuple(filter(None, (self.record, self.less or self.over)))

    def fault(self, records: Records) -> str:
        """Why the fact does not stand on these records, as the end of a sentence; or nothing."""
        numbers: list[float] = []
        for id in self.records:
            said = {tuple(self._numbers(record)) for record in records.named(id)}
            if not said:
                return f"record {id} is not here"
            if len(said) > 1:
                return f"several records {id} say different numbers of {self._place}"
            (found,) = said
            if len(found) != 1:
                return f"record {id} has {len(found)} numbers of {self._place}, not one"
            numbers += found
        number = numbers[0]
        if len(numbers) == 2:
            number = (operator.truediv if self.over else operator.sub)(*numbers)
        return "" if _says(self.says, number) else self._differs(number)

    def _numbers(self, record: Record) -> list[float]:
        if self.field:
            found = _at(record.model_dump(include={self.field.split(".")[0]}), self.field)
            return [float(found)] if isinstance(found, int | float) else []
        numbers = (
            (getattr(value, self.part), value.unit)
            for value in record.values
            if value.metric == self.metric and self.axes.items() <= value.axes.items()
        )
        return [
            100.0 * number if unit == "share" and self._percent else float(number)
            for number, unit in numbers
            if number is not None
        ]

    @property
    def _percent(self) -> bool:
        return self.part != "n" and not self.says.startswith(".")

    @property
    def _place(self) -> str:
        axes = ", ".join(f"{name} {value}" for name, value in self.axes.items())
        return self.field or f"{self.metric}{axes and f' ({axes})'}"

    def _differs(self, number: float) -> str:
        other = self.less or self.over
        whose = f"records {self.record} and {other} say" if other else f"record {self.record} says"
        return f"{whose} {number:.6g} for {self._place} where it states {self.says}"


class Reason(Frozen):
    """Why one claim ends as it does."""

    words: str
    read_from: tuple[Fact, ...] = Field(default=(), alias="read from")
    given: tuple[str, ...] = ()
    """Numbers of the words that are none of ours: the paper's, thresholds, settings."""
    unbacked: tuple[str, ...] = ()
    """Numbers of the words that no record here holds."""

    @model_validator(mode="after")
    def _every_number_has_a_source(self) -> Reason:
        said = NUMBER.findall(self.words)
        sources = [*self.given, *self.unbacked]
        for fact in self.read_from:
            sources += NUMBER.findall(fact.says)
        for number in said:
            if number not in sources:
                raise ValueError(
                    f"expected every number of the words among read from, given and unbacked, got "
                    f"{number}"
                )
        for number in sources:
            if number not in said:
                raise ValueError(f"expected only numbers of the words, got {number}")
        return self

    def fault(self, records: Records) -> str:
        """Why the reason cannot be given beside these records; or nothing."""
        return next(filter(None, (fact.fault(records) for fact in self.read_from)), "")


_REASONS = TypeAdapter(dict[str, Reason])


def read_reasons(folder: Traversable | None, study: str) -> Mapping[str, Reason]:
    """The reasons that a folder holds for a study, by claim; none where there is no such file.

    Raises UserError, in one line, for a file that is too large or no reasons.
    """
    file = folder / f"{study}.yaml" if folder else None
    if file is None or not file.is_file():
        return {}
    with file.open("rb") as opened:
        text = opened.read(MAX_BYTES + 1)
    if len(text) > MAX_BYTES:
        raise UserError(f"expected at most {MAX_BYTES} bytes of reasons in {file}")
    try:
        return _REASONS.validate_python(read_yaml(text.decode()) or {})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UserError(f"expected reasons in {file}, got {where}: {first['msg']}") from error
    except (yaml.YAMLError, RecursionError, UnicodeDecodeError) as error:
        raise UserError(f"expected YAML in {file}, got: {one_line(error)}") from error


def _at(tree: Any, path: str) -> Any:
    for part in path.split("."):
        tree = tree.get(part) if isinstance(tree, Mapping) else None
    return tree


def _says(words: str, number: float) -> bool:
    """Whether a number, rounded as the words are, is what they say."""
    match = SAYS.fullmatch(words)
    if match is None:
        return False
    least = match["most"] if match["least"] is None else match["least"]
    above = number >= float(least.replace(",", "")) - _rounding(least)
    return (above or bool(match["below"])) and number <= (
        float(match["most"].replace(",", "")) + _rounding(match["most"])
    )


def _rounding(words: str) -> float:
    """Half of a number's last decimal, and a little for the floats."""
    return 0.5 * 10.0 ** -len(words.partition(".")[2]) + 1e-9
