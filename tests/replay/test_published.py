"""The programs of published records: exported C labels the real test set as the engine does."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from robench.integer import Engine, export_c, load_program, run_reference
from robench.records.retired import current
from robench.records.store import EXAMPLES, artefact, folders, read
from robench.replay.verify import verify
from robench.run.compose import from_plain
from robench.run.config import Places
from robench.run.reopen import evidence
from robench.training.loop import Trainer

RECORDS = Path(__file__).parents[2] / "leaderboard" / "records"
PROGRAMS = {
    folder: kept
    for folder in sorted(folders(RECORDS))
    if (kept := artefact(folder)) and kept.suffix == ".robench"
}
COMPLETE = [folder for folder in PROGRAMS if (folder / EXAMPLES).is_file()]
VERIFIABLE = [folder for folder in COMPLETE if "digits" in read(folder).config["dataset"]]
"""Digits come with the distribution; the other data sets may be absent."""


def test_there_are_published_programs() -> None:
    assert VERIFIABLE
    for path in PROGRAMS.values():
        load_program(path)


@pytest.mark.slow  # of the quickest one, the leaderboard's tests see to it
@pytest.mark.parametrize("folder", VERIFIABLE, ids=lambda folder: folder.name)
def test_a_published_program_verifies_without_training(
    folder: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trainer, "fit", None)
    verification = verify(folder, places)
    assert not verification.refuted, verification.steps
    done = {step.name for step in verification.steps if step.outcome == "pass"}
    # The rows to craft again are drawn, and those that are drawn may be too small to tell a lie.
    judged = "examples" if read(folder).rows else "certificates"
    assert {"consistent", "model", "rows", judged} <= done


@pytest.mark.slow
@pytest.mark.parametrize("folder", PROGRAMS, ids=lambda folder: folder.name)
def test_exported_c_labels_the_whole_test_set_alike(
    folder: Path, places: Places, data_root: Path, tmp_path: Path
) -> None:
    record = read(folder)
    config = from_plain(current(record.config), record.provenance.components)
    places = replace(places, data_root=data_root)
    pixels = evidence(config, places).data.test.images
    program = load_program(PROGRAMS[folder])
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
