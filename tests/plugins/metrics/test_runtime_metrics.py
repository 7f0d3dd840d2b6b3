"""Latency and size of other runtimes beside the engine, and the agreement that export prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from robench.base.errors import ConfigError
from robench.cli.main import main
from robench.core.record import Record
from robench.records.store import read
from robench.run.config import Places
from robench_metrics.latency import Latency
from robench_metrics.size import Size

RUN = ["run", "attack=fgsm", "images=30", "train.epochs=1", "threads=1", "audit=off"]
BESIDE = "[eager,onnxruntime,openvino]"


def record_of(places: Places) -> tuple[Record, Path]:
    (folder,) = {path.parent for path in places.results.glob("*/record.json")}
    return read(folder), folder


def test_runtimes_are_measured_beside_the_engine_and_agree(
    places: Places, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("openvino")
    options = [f"metric.latency.beside={BESIDE}", "metric.latency.repeats=3"]
    sizes = f"metric.size.beside={BESIDE}"
    metrics = "metric=[accuracy,latency,size]"
    assert main([*RUN, "compressor=ptq_int8", metrics, *options, sizes]) == 0
    record, folder = record_of(places)
    for metric in ("latency", "throughput", "size"):
        found = [v.axes.get("runtime") for v in record.values if v.metric == metric]
        assert found == [None, "eager", "onnxruntime", "openvino"]
    size = record.find("size")
    eager, onnx = (record.find("size", runtime=name) for name in ("eager", "openvino"))
    assert eager.value == record.find("parameters").value * 4
    assert size.value == (folder / "program.robench").stat().st_size < eager.value / 3
    assert size.value < onnx.value < eager.value / 2
    capsys.readouterr()
    assert main(["export", str(folder), "--format", "onnx", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "not bit-exact" in printed
    assert "onnxruntime: the program's label on" in printed
    assert "of 30 images" in printed


def test_a_float_network_has_no_onnx_runtime(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*RUN, "metric=latency", "metric.latency.beside=[onnxruntime]"]) == 2
    assert "expected an integer program for onnxruntime" in capsys.readouterr().err


@pytest.mark.parametrize("metric", [Latency, Size])
def test_unknown_runtimes_are_refused(metric: type) -> None:
    with pytest.raises(ConfigError, match="eager, onnxruntime, openvino, got tflite"):
        metric(beside=["tflite"])
