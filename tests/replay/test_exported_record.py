"""`robench export --format c` of an IntRS record: the program certifies as robench does."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from robench.cli.main import main
from robench.records.store import folders
from robench.replay.rebuild import rebuild
from robench.run.config import Places
from robench.smoothing import Cohen, predict
from robench.smoothing.classifier import SmoothedDeployed

COMPILER = shutil.which("cc")
pytestmark = pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")
CERTIFIER, IMAGES, DRAWS = Cohen(n1=20, n2=300, alpha=0.01, radius="renyi"), 6, 100
PREDICT_ALPHA = 0.2


def words(labels: np.ndarray, squares: np.ndarray | None = None) -> list[str]:
    lines = (
        labels if squares is None else [f"{a} {b}" for a, b in zip(labels, squares, strict=True)]
    )
    return [str(x) if a >= 0 else "ABSTAIN" for a, x in zip(labels, lines, strict=True)]


@pytest.mark.slow
def test_the_exported_program_certifies_and_predicts_as_robench_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = Places(results=tmp_path / "results", cache=tmp_path / "cache", threads=1)
    for name, path in (("RESULTS", places.results), ("CACHE", places.cache)):
        monkeypatch.setenv(f"ROBENCH_{name}", str(path))
    options = {"n1": CERTIFIER.n1, "n2": CERTIFIER.n2, "alpha": CERTIFIER.alpha, "radius": "renyi"}
    choices = ["defense=intrs", "attack=[]", "metric=accuracy", "certifier=cohen", "audit=off"]
    settings = [f"images={IMAGES}", "train.epochs=2", "threads=1"]
    voting = [f"defense.intrs.draws={DRAWS}", f"defense.intrs.alpha={PREDICT_ALPHA}"]
    budget = [f"certifier.cohen.{name}={value}" for name, value in options.items()]
    assert main(["run", *choices, *settings, *voting, *budget]) == 0
    (folder,) = folders(places.results)
    assert main(["export", str(folder), "--format", "c", "--out", str(tmp_path)]) == 0
    binary = tmp_path / "certifier"
    integers = ["-mgeneral-regs-only"] if platform.machine() in {"x86_64", "AMD64"} else []
    source = tmp_path / f"{folder.name}.c"
    subprocess.run([COMPILER, "-std=c99", "-O1", *integers, source, "-o", binary], check=True)

    evidence = rebuild(folder, places).evidence
    deployed, pixels = evidence.system.deployed, evidence.test.images.numpy()
    assert isinstance(deployed, SmoothedDeployed)
    votes = deployed.votes(pixels, evidence.certify_seed)
    found = CERTIFIER.certify(votes, np.arange(IMAGES))
    predicted = predict(votes, np.arange(IMAGES), DRAWS, PREDICT_ALPHA)

    def run(mode: str) -> list[str]:
        done = subprocess.run(
            [binary, mode, "-"], input=pixels.tobytes(), capture_output=True, check=True
        )
        return done.stdout.decode().split("\n")[:-1]

    assert run("certify") == words(found.prediction, found.radius2)
    assert run("predict") == words(predicted)
    assert (found.prediction >= 0).any()
