from __future__ import annotations

import json
from pathlib import Path

import pytest

from robench import evaluate
from robench.base.paths import shipped
from robench.cli.main import main
from robench.run.cache import Cache
from robench.run.config import Places
from robench.studies.catalogue import Study
from robench.training.recipe import TrainConfig
from robench_compressors.ptq import PTQ
from robench_defenses.adversarial import AdversarialTraining
from robench_defenses.feedback import FeedbackLearning
from robench_defenses.mulaw import MuLaw
from robench_studies.song2021.studies import STUDIES

PRESETS = sorted((shipped("conf") / "experiment").glob("song2021_*.yaml"))


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_a_preset_starts_with_the_command_that_runs_it(preset: Path) -> None:
    lines = preset.read_text(encoding="utf-8").splitlines()
    assert lines[:2] == ["# @package _global_", f"# robench run experiment={preset.stem}"]


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_a_study_names_the_command_that_makes_its_records(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = study.command.removeprefix("robench run ").split()
    assert f"robench run {overrides[0]}" in PRESETS[0].parent.joinpath(
        f"{overrides[0].partition('=')[2]}.yaml"
    ).read_text(encoding="utf-8")
    assert main(["run", *overrides, "hydra.mode=RUN", "compressor=ptq", "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    (model,) = plan["model"]
    assert {study.variants[0].chosen["model"]} == {(model,)}
    assert {study.variants[0].chosen["dataset"]} == {tuple(plan["dataset"])}
    attacks = {measure.attack for measure in study.measures if measure.attack}
    assert attacks <= set(plan["attack"])


def test_twelve_models_are_trained_three_times_and_the_surrogate_once(tmp_path: Path) -> None:
    feedback = FeedbackLearning(
        rounds=1, high_images=1, medium_images=1, low_images=1, gradient_steps=1
    )
    trainings = [[], [AdversarialTraining(steps=1)], [feedback]]
    places = Places(results=tmp_path / "results", cache=tmp_path / "cache")
    for training in trainings:
        for maps in ([], [MuLaw()]):
            for compressor in ("none", PTQ(bits=3)):
                evaluate(
                    "small_cnn",
                    "digits",
                    defense=[*training, *maps] or "none",
                    compressor=compressor,
                    attack=["fgsm"],
                    access=("white_box", "transfer"),
                    train=TrainConfig(epochs=1),
                    images=20,
                    places=places,
                )
    steps = [entry.step for entry in Cache(places.cache).entries()]
    assert steps.count("train") == 4
    assert steps.count("attack") == 12 + 1
    assert len(list((tmp_path / "results").glob("*/record.json"))) == 12
