"""The programs of published records: exported C labels the real test set as the engine does."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from robench.integer import Engine, export_c, load_program, run_reference
from robench.records.store import EXAMPLES, PROGRAM, read
from robench.replay.verify import verify
from robench.run.compose import from_plain
from robench.run.config import Places
from robench.run.reopen import evidence
from robench.training.loop import Trainer

RECORDS = Path(__file__).parents[2] / "leaderboard" / "records"
PROGRAMS = sorted(RECORDS.glob(f"*/{PROGRAM}"))
COMPLETE = [path for path in PROGRAMS if (path.parent / EXAMPLES).is_file()]
VERIFIABLE = [path for path in COMPLETE if "digits" in read(path.parent).config["dataset"]]
"""Digits come with the distribution; the other data sets may be absent."""


def test_there_are_published_programs() -> None:
    assert VERIFIABLE
    for path in PROGRAMS:
        load_program(path)


@pytest.mark.slow  # of the quickest one, the leaderboard's tests see to it
@pytest.mark.parametrize("path", VERIFIABLE, ids=lambda path: path.parent.name)
def test_a_published_program_verifies_without_training(
    path: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trainer, "fit", None)
    verification = verify(path.parent, places)
    assert not verification.refuted, verification.steps
    done = {step.name for step in verification.steps if step.outcome == "pass"}
    assert {"consistent", "model", "rows", "examples", "crafted again"} <= done


@pytest.mark.slow
@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.parent.name)
def test_exported_c_labels_the_whole_test_set_alike(
    path: Path, places: Places, data_root: Path, tmp_path: Path
) -> None:
    config = from_plain(read(path.parent).config)
    places = replace(places, data_root=data_root)
    pixels = evidence(config, places).data.test.images
    program = load_program(path)
    export_c(program, tmp_path / "net.c")
    binary, images = tmp_path / "net", tmp_path / "images"
    subprocess.run(["cc", "-O3", str(tmp_path / "net.c"), "-o", str(binary)], check=True)
    images.write_bytes(pixels.numpy().tobytes())
    printed = subprocess.run([binary, images], capture_output=True, check=True).stdout
    labels = np.array(printed.split(), dtype=np.int64)
    engine, _ = Engine(program).run(pixels)
    assert np.array_equal(labels, engine.numpy())
    reference, _ = run_reference(program, pixels[:500])
    assert torch.equal(reference, torch.from_numpy(labels[:500]))
