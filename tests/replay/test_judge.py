"""A record's model under a named protocol: what `robench run protocol=...` gives, untrained."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from robench import evaluate
from robench.base.errors import UserError
from robench.base.paths import shipped
from robench.cli.main import main
from robench.records import protocols
from robench.records.consistent import inspect
from robench.records.protocols import Protocol, protocol_of, why_open
from robench.records.store import read
from robench.replay.judge import judge_record
from robench.run.config import Places
from robench.training.recipe import TrainConfig

TEXT = (shipped("conf") / "protocol" / "digits_linf.yaml").read_text(encoding="utf-8")
SMALL = (
    TEXT.replace("[fgsm, pgd, strongest]", "[fgsm]")
    .replace('    attack.pgd: "1"\n', "")
    .replace('    attack.strongest: "2"\n', "")
    .replace("audit: quick", 'audit: "off"')
    .replace("name: digits_linf", "name: small")
)
"""A protocol of a plugin, cheap."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Protocol:
    path = tmp_path_factory.mktemp("presets") / "small.yaml"
    path.write_text(SMALL, encoding="utf-8")
    return protocols.read(path, "mine")


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    root = tmp_path_factory.mktemp("judged")
    return Places(results=root / "results", cache=root / "cache")


@pytest.fixture(scope="module")
def folder(places: Places) -> Path:
    """An open run's record."""
    train = TrainConfig(epochs=1)
    record = evaluate(
        "small_cnn", attack="fgsm", audit="off", images=20, train=train, seed=3, places=places
    )
    return places.results / record.id


@pytest.fixture(autouse=True)
def installed(small: Protocol, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {**protocols._installed(), "small": small}
    monkeypatch.setattr(protocols, "_installed", lambda: found)


def test_the_kept_model_is_judged_as_a_run_of_its_own_would(
    folder: Path, places: Places, small: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert why_open(read(folder)) == "no protocol was chosen"
    monkeypatch.setattr("robench.training.loop.Trainer.fit", lambda *_: pytest.fail("it trains"))
    record, judged = judge_record(folder, small, places)
    assert protocol_of(inspect(judged).record) is small
    shutil.copy(judged / "record.json", judged / "model.safetensors")
    with pytest.raises(UserError, match="expected no record of another network in"):
        judge_record(folder, small, places)
    assert record.data.images == 360
    assert record.seed == 3
    monkeypatch.undo()
    found = {**protocols._installed(), "small": small}
    monkeypatch.setattr(protocols, "_installed", lambda: found)
    own = evaluate(
        "small_cnn", train=TrainConfig(epochs=1), seed=3, protocol="small", places=places
    )
    assert own.id == record.id
    assert own.find_all("robust_accuracy") == record.find_all("robust_accuracy")


def test_what_cannot_be_judged_is_refused_in_one_line(
    folder: Path,
    places: Places,
    small: Protocol,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mnist = protocols.get("mnist_linf")
    with pytest.raises(UserError, match="expected a model of mnist, which protocol mnist_linf"):
        judge_record(folder, mnist, places)
    bare = tmp_path / folder.name
    shutil.copytree(folder, bare)
    (bare / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"expected the file model\.safetensors, which the record"):
        judge_record(bare, small, places)
    (bare / "model.safetensors").write_bytes(b"of another record")
    with pytest.raises(UserError, match=r"expected model\.safetensors as the record names it"):
        judge_record(bare, small, places)
    monkeypatch.setenv("ROBENCH_RESULTS", str(places.results))
    assert main(["judge", str(folder), "--protocol", "smal"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "did you mean 'small'?" in line


def test_what_a_protocol_fixes_is_refused_in_python_too(places: Places) -> None:
    with pytest.raises(UserError, match=r"expected images=360, got 20: protocol small fixes it"):
        evaluate("small_cnn", protocol="small", images=20, places=places)
    with pytest.raises(UserError, match=r"expected attack=\[fgsm\], got \[pgd\]"):
        evaluate("small_cnn", protocol="small", attack="pgd", places=places)
