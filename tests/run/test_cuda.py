"""On a GPU: trained, attacked, judged and certified there, and judged again by the CPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from robench.cli.main import main
from robench.core.record import Record
from robench.records.store import read
from robench.replay.verify import verify
from robench.run.config import Places

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

TRAINED = ["train.epochs=8", "images=100", "audit=off"]


def made(root: Path, *options: str) -> tuple[Record, Path]:
    """The record of a run below a folder."""
    places = [f"results={root / 'results'}", f"cache={root / 'cache'}"]
    assert main(["run", *TRAINED, *options, *places, "--quiet"]) == 0
    (path,) = (root / "results").glob("[!.]*/record.json")
    return read(path.parent), path.parent


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_network_of_the_gpu_is_attacked_and_judged(precision: str, tmp_path: Path) -> None:
    attacks = ["attack=[fgsm,pgd]", "attack.pgd.steps=5"]
    record, folder = made(tmp_path, "device=cuda", f"train.precision={precision}", *attacks)
    assert record.provenance.device == torch.cuda.get_device_name(0)
    clean = record.get("clean_accuracy")
    assert clean is not None
    assert (clean.value or 0) > 0.8
    # The CPU gives the kept examples the labels that the GPU gave them.
    found = verify(folder, Places(cache=tmp_path / "cache", device="cpu"), seed=0)
    assert not [step for step in found.steps if step.outcome == "fail"]


def test_smoothing_certifies_on_the_gpu(tmp_path: Path) -> None:
    asked = ["defense=float_rs", "attack=[]", "metric=[accuracy,certified]"]
    radii = "metric.certified.radii=[0.0,0.25]"
    record, _ = made(tmp_path, "device=cuda", *asked, radii, "images=10")
    shares = [one.value for one in record.values if one.metric == "certified_accuracy"]
    assert len(shares) == 2
    assert (shares[0] or 0) >= (shares[1] or 0) > 0


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_the_second_gpu_computes_what_it_is_given(tmp_path: Path) -> None:
    torch.cuda.reset_peak_memory_stats(1)
    record, _ = made(tmp_path, "device=cuda:1", "attack=fgsm")
    assert record.provenance.device == torch.cuda.get_device_name(1)
    assert torch.cuda.max_memory_allocated(1) > 0
