"""Records in a real MLflow, on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from robench_example.tracking import EXPERIMENT, TRACKING, log

import robench
from robench.testing import tiny_data, tiny_network

mlflow = pytest.importorskip("mlflow")


def tracked(uri: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(TRACKING, uri)
    places = robench.Places(results=tmp_path / "results", cache=tmp_path / "cache", threads=1)
    record = robench.evaluate(
        tiny_network(), tiny_data(), attack="fgsm", images=30, audit="off", places=places
    )
    log(record, places.results / record.id)
    client = mlflow.MlflowClient(uri)
    runs = client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])
    run = runs[0]
    assert run.info.run_name == record.id
    assert run.data.params["attack"] == "fgsm"
    clean = record.find("clean_accuracy")
    assert clean is not None
    assert run.data.metrics["clean_accuracy"] == clean.value
    (curve,) = (name for name in run.data.metrics if name.startswith("robust_accuracy.fgsm"))
    robust = [v for v in record.values if v.metric == "robust_accuracy"]
    history = client.get_metric_history(run.info.run_id, curve)
    steps = {point.step: point.value for point in history}
    assert steps == {round(1000 * float(v.axes["eps"])): v.value for v in robust}
    kept = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"record.json", "preview.webp"} <= kept


def test_values_curves_and_pictures_in_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    tracked((tmp_path / "mlruns").as_uri(), monkeypatch, tmp_path)


def test_and_on_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = os.environ.get("TEST_MLFLOW_SERVER")
    if not uri:
        pytest.skip("set TEST_MLFLOW_SERVER to the address of a running `mlflow server`")
    tracked(uri, monkeypatch, tmp_path)


def test_nothing_is_logged_where_nobody_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TRACKING, raising=False)
    log(None, tmp_path)
