"""The studies of IntRS: presets, cells from certificates and votes, pairs on shared images."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pytest

from robench.base.paths import shipped
from robench.studies.measures import Certified, Predicted
from robench.studies.report import report
from robench.studies.run import Records, Run
from robench.studies.runs import Runs
from robench_studies.intrs2021.claims import Near
from robench_studies.intrs2021.studies import STUDIES
from robench_studies.intrs2021.tables import FLOAT, INT, variant

PRESETS = sorted((shipped("conf") / "experiment").glob("intrs_*.yaml"))
PAPER = {"intrs_table1": 16, "intrs_table2": 72, "intrs_table3": 96, "intrs_table45": 112}


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_a_preset_starts_with_the_command_that_runs_it(preset: Path) -> None:
    lines = preset.read_text(encoding="utf-8").splitlines()
    assert lines[:2] == ["# @package _global_", f"# robench run experiment={preset.stem}"]


def test_every_study_has_its_preset_and_all_of_the_papers_cells() -> None:
    assert {*STUDIES} <= {preset.stem for preset in PRESETS}
    assert {name: len(study.cells) for name, study in STUDIES.items() if study.cells} == PAPER


@pytest.mark.parametrize("name", STUDIES)
def test_an_empty_study_says_that_nothing_was_run(name: str, tmp_path: Path) -> None:
    text = report(STUDIES[name], Runs(Records(tmp_path), STUDIES[name].variants))
    assert "not run" in text
    assert ": reproduced" not in text


def certified(
    folder: Path,
    images: list[int],
    radius2: list[int],
    predictions: list[int],
    model: dict[str, Any] | None = None,
) -> Run:
    """A run whose certificates are these; every label is 1."""
    folder.mkdir()
    table = {"image": images, "label": 1, "prediction": predictions, "radius2": radius2}
    pd.DataFrame(table).to_parquet(folder / "certificates.parquet")
    run = Run(folder)
    run.record = cast(Any, SimpleNamespace(config={"model": model or {"resnet20": {}}}))
    return run


def test_certified_columns_read_radii_and_labels(tmp_path: Path) -> None:
    run = certified(tmp_path / "a", [0, 20, 40, 60], [4064, 4063, 9999, -1], [1, 1, 0, -1])
    right = Certified("CA", radius=0.25).score(run)
    every = Certified("CP", radius=0.25, percentage=True).score(run)
    assert right is not None
    assert every is not None
    assert right.right.tolist() == [True, False, False, False]
    assert every.right.tolist() == [True, False, True, False]
    assert Predicted("n", draws=100).score(run) is None


@pytest.mark.parametrize(
    ("options", "known"),
    [
        ({"sequential": {}}, [True, True, False]),
        ({"sequential": {"radii": [0.25, 0.6]}}, [False, True, True]),  # an older record
        ({"cohen": {}}, [True, True, True]),
    ],
)
def test_radii_that_were_not_tested_are_not_in_the_table(
    options: dict[str, Any], known: list[bool], tmp_path: Path
) -> None:
    run = certified(tmp_path / "a", [0, 20], [4064, 9999], [1, 1])
    run.record.config.update(certifier=options, metric={"certified": {"radii": [0.0, 0.25]}})
    found = [Certified("CA", radius=radius).score(run) for radius in (0.0, 0.25, 0.6)]
    assert [score is not None for score in found] == known


def test_differences_use_the_images_that_both_certified(tmp_path: Path) -> None:
    first, second = variant(INT), variant(FLOAT)
    runs = Runs(Records(tmp_path), [])
    runs._runs = {
        first.label: certified(tmp_path / "a", [0, 20, 40, 60], [9999] * 4, [1, 1, 1, 1]),
        second.label: certified(tmp_path / "b", [0, 40, 80], [9999] * 3, [1, 0, 0]),
    }
    measure = Certified("CA", radius=0.25)
    pair = runs.difference((first, measure), (second, measure))
    assert pair is not None
    assert (pair.n, pair.difference) == (2, 0.5)


@pytest.mark.parametrize(
    ("right", "holds"),
    [
        ([1] * 6 + [0] * 4, True),
        ([0] * 10, False),
        ([1] * 3 + [0] * 7, None),  # Wilson: 0.11 to 0.60, and 0.53 would be near
    ],
)
def test_near_the_paper(right: list[int], holds: bool | None, tmp_path: Path) -> None:
    cell = next(c for c in STUDIES["intrs_table2"].cells if c.value == 0.61)
    runs = Runs(Records(tmp_path), [])
    runs._runs = {cell.variant.label: certified(tmp_path / "a", [*range(10)], [9999] * 10, right)}
    assert Near(cell)(runs).holds is holds
    assert Near(cell)(Runs(Records(tmp_path / "none"), [])).holds is None


def test_without_imagenet_weights_table_3_is_not_comparable(tmp_path: Path) -> None:
    cell = next(c for c in STUDIES["intrs_table3"].cells if c.value)
    model = {"torchvision": {"name": "resnet50", "weights": None}}
    run = certified(tmp_path / "a", [*range(10)], [0] * 10, [0] * 10, model)
    runs = Runs(Records(tmp_path), [])
    runs._runs = {cell.variant.label: run}
    seen = Near(cell)(runs)
    assert seen.holds is None
    assert "not comparable" in seen.text
