"""Records for studies: each file read once, however many studies and cells ask for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robench.collection.known import look
from robench.collection.results import read_configs
from robench.collection.store import Collection, fill_values, read_digests
from robench.core.outcomes import Outcomes, Score, clean_score, scores
from robench.core.record import Record
from robench.records.headline import audit_table, headline
from robench.records.store import folders, read, read_outcomes, read_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Run:
    """A record with its tables, each read when first asked for, and kept until it is forgotten."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tables: dict[str, Any] = {}

    @cached_property
    def record(self) -> Record:
        """The record; raises UserError for a damaged one."""
        return read(self.folder)

    def forget(self) -> None:
        """Let go of the record, which is read again when it is asked for."""
        vars(self).pop("record", None)

    def table(self, name: str) -> Any:
        """A table that a metric or the audit added, as a data frame, or None."""
        if name not in self._tables:
            self._tables[name] = read_table(self.folder, name)
        return self._tables[name]

    @cached_property
    def clean(self) -> Score:
        """Accuracy on the clean images."""
        return clean_score(self._outcomes)

    @cached_property
    def attacked(self) -> list[Score]:
        """Accuracy under every row, each attacked image counted by its attacked label alone."""
        return list(scores(self._outcomes, self.record.budgets(), when_clean_right=False))

    def held(self, norm: str, eps: float) -> NDArray[np.bool_]:
        """The images that hold under a threat, in the order of `images`: see `headline`."""
        return headline(self.record, self._outcomes, audit_table(self.folder), norm, eps)

    @cached_property
    def images(self) -> NDArray[np.int64]:
        """The numbers of the judged test images, in the order of `clean` and `attacked`."""
        return self._outcomes.clean.image.astype("int64")

    @cached_property
    def _outcomes(self) -> Outcomes:
        return read_outcomes(self.folder)


class Records:
    """The records below a folder, or in given ones.

    Without `keep` those that a study looks at are let go of: another study reads them again.
    """

    def __init__(self, places: Path | Iterable[Path], *, keep: bool = True) -> None:
        self.keep = keep
        self._root = places if isinstance(places, Path) else None
        found = folders(places) if isinstance(places, Path) else places
        self._runs = {folder: Run(folder) for folder in found}
        self._named: dict[str, list[Run]] = {}
        for folder, run in self._runs.items():
            self._named.setdefault(folder.name, []).append(run)
        self.aside: dict[str, str] = {}
        """By folder's name, why a record is left out: it cannot be read."""

    def possible(self, choices: Sequence[Mapping[str, tuple[str, ...]]]) -> list[Run]:
        """Those whose configuration has one of these choices by kind, each list complete.

        Below a folder the store knows what was asked, so that no other record is opened.
        """
        return [
            run
            for run, config in self._configs()
            if any(
                all(tuple(config.get(kind, ())) == names for kind, names in chosen.items())
                for chosen in choices
            )
        ]

    def _configs(self) -> Iterator[tuple[Run, Mapping[str, Any]]]:
        if self._root is None:
            yield from ((run, run.record.config) for run in self)
            return
        collection = Collection.of([self._root])
        with collection.held():
            seen = read_digests(collection.recall(look(self._runs)))
            left = fill_values(collection, seen)
            collection.know(seen)
            configs = read_configs(collection)
        self.aside |= {folder.name: why for folder, why in left.items()}
        yield from (
            (self._runs[one.folder], configs[one.digest]) for one in seen if one.digest in configs
        )

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs.values())

    def named(self, id: str) -> Iterator[Record]:
        """All records of that id that are here; their folders bear the same name."""
        for run in self._named.get(id, []):
            if run.record.id == id:
                yield run.record
            if not self.keep:
                run.forget()

    def among(self, chosen: Iterable[Path]) -> list[Run]:
        """Those of some folders, in that order."""
        return [self._runs[folder] for folder in chosen]
