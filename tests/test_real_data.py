"""The main job on real data, end to end; needs ROBENCH_DATA."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from robench.plugin.registry import registry
from robench.run.config import Places, RunConfig
from robench.run.pipeline import run
from robench.training.recipe import TrainConfig

pytestmark = pytest.mark.slow


def choose(kind: str, name: str, **options: Any) -> dict[str, Any]:
    return {name: registry().get(kind, name).make(**options)}


@pytest.mark.timeout(3600)
def test_mnist_is_learned_and_broken(data_root: Path, places: Places) -> None:
    config = RunConfig(
        dataset=choose("dataset", "mnist"),
        model=choose("model", "cnn4"),
        compressor=choose("compressor", "none"),
        defense=choose("defense", "none"),
        attack=choose("attack", "pgd", eps=0.3),
        metric=choose("metric", "accuracy"),
        train=TrainConfig(epochs=2),
        images=1000,
    )
    record, _ = run(config, replace(places, data_root=data_root, threads=None))
    clean, robust = record.find("clean_accuracy"), record.find("robust_accuracy", attack="pgd")
    assert clean is not None
    assert robust is not None
    assert clean.value is not None
    assert robust.value is not None
    assert clean.value >= 0.985
    assert robust.value < 0.05
