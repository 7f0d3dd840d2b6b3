"""Files beside the parents whose weights they were made of: differences, verdicts, what is said."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from robench.core.record import FileInfo
from robench.records.support.held import AUDIT_TABLE
from robench.studies import Held
from robench.studies.report import report
from robench.studies.run import Records
from robench.studies.runs import Runs
from robench_studies.toolchains.studies import STUDIES
from robench_studies.toolchains.systems import FLOAT, LITERT, MADE, MNIST, PLAIN, TRAINED
from tests.studies.study_toys import put

WEIGHTS = "model.safetensors"


def shipped(parent: str) -> FileInfo:
    return FileInfo(
        format="onnx",
        sha256="0" * 64,
        bytes=1234,
        runtime="onnxruntime",
        version="1.31",
        parent=parent,
    )


def place(root: Path, defense: str, toolchain: str, share: float, parent: str = "weights") -> None:
    file = None if toolchain == FLOAT else shipped(parent)
    put(
        root,
        f"{defense}-{toolchain}",
        MNIST.variant(defense, toolchain),
        {("pgd", "white_box", 0.1): share, ("pgd", "white_box", 0.3): share / 2},
        clean=0.95,
        file=file,
        files={WEIGHTS: "weights"} if toolchain == FLOAT else {},
    )


def told(root: Path) -> str:
    study = STUDIES["toolchains_mnist"]
    return report(study, Runs(Records(root), study.variants, study.measures))


def test_a_file_that_loses_what_was_trained_in_is_said_to(tmp_path: Path) -> None:
    place(tmp_path, TRAINED, FLOAT, 0.8)
    for toolchain in MADE:
        place(tmp_path, TRAINED, toolchain, 0.4 if toolchain == "ort_int8" else 0.8)
    text = told(tmp_path)
    assert "**kept: not reproduced.**" in text
    assert "**alike: not reproduced.**" in text
    row = next(line for line in text.splitlines() if "/ ONNX Runtime | its parent" in line)
    clean, holds = row.split(" | ")[2:4]
    assert clean == "+0.0 [-2.0, +2.0] same"
    assert holds.startswith("-40.0 [")
    assert holds.endswith("loses")


def test_a_file_of_other_weights_is_named(tmp_path: Path) -> None:
    place(tmp_path, PLAIN, FLOAT, 0.5)
    place(tmp_path, PLAIN, "pt2e_int8", 0.5, parent="other")
    assert "| plain / torchao PT2E | OTHER WEIGHTS |" in told(tmp_path)


def test_a_files_row_is_known_by_its_name(tmp_path: Path) -> None:
    variant = MNIST.variant(TRAINED, LITERT)
    study = STUDIES["toolchains_mnist"]
    paths = ("/x/mnist_adversarial_training.tflite", "/x/another.tflite", 5, ["a"])
    for path in paths:
        name = str(path).rpartition("/")[2]
        named = {**variant.options, "model.file.path": path}
        put(
            tmp_path,
            name,
            type(variant)(variant.label, variant.chosen, named),
            {("pgd", "white_box", 0.1): 0.5},
            file=shipped(""),
        )
    runs = Runs(Records(tmp_path), study.variants, study.measures)
    found = runs.get(variant)
    assert found is not None
    assert found.record.id == "mnist_adversarial_training.tflite"


def test_what_holds_counts_the_audits_examples(tmp_path: Path) -> None:
    put(tmp_path, "one", MNIST.variant(PLAIN, FLOAT), {("pgd", "white_box", 0.1): 0.5})
    (run,) = Records(tmp_path)
    measure = Held("holds", size=0.1)
    assert measure.stands_in(run.record)
    assert Held("holds", size=0.2).score(run) is None
    before = measure.score(run)
    table = {"audit": 0, "position": range(20), "image": range(20), "norm": "linf", "eps": 0.1}
    table |= {"randomised": False, "clean": True, "rows": True, "held": False}
    pd.DataFrame(table).to_parquet(tmp_path / "one" / f"{AUDIT_TABLE}.parquet", index=False)
    after = measure.score(run)
    assert before is not None
    assert after is not None
    assert (before.value, after.value) == (0.5, 0.4)


@pytest.mark.parametrize("name", STUDIES)
def test_every_system_of_a_study_can_be_run(name: str) -> None:
    study = STUDIES[name]
    assert len({variant.label for variant in study.variants}) == len(study.variants) == 12
    assert study.command.startswith("robench run experiment=toolchains protocol=")
