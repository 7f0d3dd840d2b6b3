"""Each file of a record is read once, however many studies and cells ask for it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from robench.studies import run
from robench.studies.catalogue import studies
from robench.studies.report import report
from robench.studies.run import Records
from robench.studies.runs import Runs

PUBLISHED = Path(__file__).resolve().parents[2] / "leaderboard/records"


def test_two_studies_read_a_table_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: Counter[tuple[str, Path, object]] = Counter()
    for name in ("read", "read_outcomes", "read_table"):
        real = getattr(run, name)

        def counted(folder: Path, *more: Any, name: str = name, real: Any = real) -> Any:
            read[name, folder, more] += 1
            return real(folder, *more)

        monkeypatch.setattr(run, name, counted)
    records = Records(PUBLISHED)
    for name in ("intrs_table2", "intrs_fig5"):
        study = studies()[name]
        report(study, Runs(records, study.variants, study.measures))
    assert {what for what, _, _ in read} == {"read", "read_table"}
    assert {folder.name for what, folder, _ in read if what == "read_table"} >= {"7af59233a9c1f781"}
    assert set(read.values()) == {1}


def test_a_record_is_known_by_its_id(tmp_path: Path) -> None:
    records = Records(PUBLISHED)
    (known,) = records.named("29210e00a27551e9")
    assert known.id == "29210e00a27551e9"
    assert not list(records.named("29210e00"))
    (tmp_path / "another").symlink_to(PUBLISHED / "29210e00a27551e9")
    assert not list(Records([tmp_path / "another"]).named("another"))


def test_records_that_are_not_kept_give_the_same_runs() -> None:
    places = [*Records(PUBLISHED)]
    folders = [run.folder for run in places]
    for name in ("intrs_table2", "intrs_fig5"):
        study = studies()[name]
        found = []
        for keep in (True, False):
            records = Records(folders, keep=keep)
            runs = Runs(records, study.variants, study.measures, folders)
            found.append(([run.folder for run in runs], runs.ignored))
            assert any("record" in vars(run) for run in records) is keep
        assert found[0] == found[1] != ([], 0)
