"""What has no answer is refused in one line, before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import robench
from robench.base.errors import ConfigError
from robench.core.threat import ThreatConfig
from robench.run.config import Places
from tests.cli.command import command
from tests.conftest import tiny_net

PLANNED = [
    (
        ["threat.norm=linf", "threat.eps=8", "attack=pgd"],
        "expected threat.eps of at most 1 in linf, got 8: eps is in [0,1] pixels; did you mean "
        "8/255?",
    ),
    (["attack=pgd", "attack.pgd.norm=linf", "attack.pgd.eps=[0.1,300]"], "got 300: eps is in"),
    (["attack=pgd", "threat.eps=0"], "expected threat.eps above 0, got 0: "),
    (["attack=pgd", "attack.pgd.eps=[0,0.1]"], "expected attack.pgd.eps above 0, got 0: "),
    (
        ["attack=[pgd,cw]", "threat.norm=linf"],
        "expected threat.norm l2 for attack=cw, got linf; leave cw out, or set attack.cw.norm=l2",
    ),
    (["attack=cw", "attack.cw.norm=linf"], "expected norm to be one of l2, got 'linf'"),
    (
        ["metric=[accuracy,certified]", "certifier=cohen"],
        "expected a smoothed system for metric=certified, got defense=none; use defense=intrs",
    ),
    (["metric=smoothed_prediction"], "expected a smoothed system for metric=smoothed_prediction"),
    (["threat.eps=-1"], "expected eps to be a finite number above 0, got -1; set it to, say, 8/"),
    (
        ["defense=intrs", "metric=certified", "metric.certified.radii=[0.0,0.5,0.25]"],
        "expected finite radii that increase from 0, got [0.0, 0.5, 0.25]; set "
        "radii=[0.0, 0.25, 0.5]",
    ),
    (
        ["protocol=digits_certified_l2", "defense=intrs", "metric=accuracy"],
        "expected metric.certified to be a chosen metric, got options alone: protocol "
        "digits_certified_l2 fixes them; choose it with metric=certified or "
        "metric=[accuracy,certified]",
    ),
    (["images=1000"], "expected images of at most 360, got 1000: digits has 360 test images"),
    (["threat.eps=8"], "expected eps of attack.fgsm of at most 1 in linf, got 8: "),
]
LOADED = [
    (["attack=pgd", "threat.eps=8"], "expected eps of attack.pgd of at most 1 in linf, got 8: "),
    (
        ["attack=pgd", "threat.norm=l2", "threat.eps=20"],
        "expected eps of attack.pgd up to 8 in l2, the diagonal of 1x8x8 images, got 20: ",
    ),
    (["attack=cw", "attack.cw.eps=[1,9]"], "expected eps of attack.cw up to 8 in l2"),
]


def refused(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = command(["run", *arguments], capsys)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert words in err


@pytest.mark.parametrize(("arguments", "words"), PLANNED)
def test_refused_in_the_plan(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(["--dry-run", *arguments], words, capsys)


@pytest.mark.parametrize(("arguments", "words"), LOADED)
def test_refused_before_training(
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("trained")

    monkeypatch.setattr("robench.run.stages.Stages._train", never, raising=False)
    refused([*arguments, "threads=1"], words, capsys)


@pytest.mark.parametrize(
    "arguments",
    [
        ["threat.eps=8"],
        ["images=1000"],
        ["--dry-run", "attack=pgd"],
        ["dataset=cifar10", "data_root=gone/data"],
        ["model=file", "model.file.path=~nobody-here/x.onnx"],
    ],
)
def test_what_is_refused_or_planned_leaves_nothing(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("torchvision.datasets.utils.download_and_extract_archive", no_network)
    monkeypatch.chdir(tmp_path)
    status, out, err = command(["run", *arguments], capsys)
    if "--dry-run" in arguments:
        assert (status, err) == (0, "")
    else:
        assert (status, out, err.count("\n")) == (2, "", 1), err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"threat": ThreatConfig(norm="linf", eps=8)}, "did you mean 8/255"),
        ({"threat": ThreatConfig(eps=0)}, "expected threat.eps above 0"),
        ({"metric": ("accuracy", "certified")}, "expected a smoothed system"),
        ({"attack": "cw", "threat": ThreatConfig(norm="linf")}, "expected threat.norm l2"),
        ({"images": 1000}, "expected images of at most 360"),
        ({"threat": ThreatConfig(eps=8)}, "did you mean 8/255"),
        (
            {"protocol": "digits_certified_l2", "defense": "intrs", "metric": "accuracy"},
            "expected metric.certified among the metrics, got accuracy: protocol digits_certified",
        ),
    ],
)
def test_refused_from_python(given: dict[str, Any], words: str, tmp_path: Path) -> None:
    places = Places(results=tmp_path / "results", cache=tmp_path / "cache", threads=1)
    attack = {} if "protocol" in given else {"attack": "pgd"}
    with pytest.raises(ConfigError, match=words):
        robench.evaluate("small_cnn", "digits", **{"places": places, **attack, **given})


def test_data_of_ones_own_have_no_protocol(tiny_data: robench.Data) -> None:
    with pytest.raises(ConfigError, match=r"got .* Data: it is judged on digits; leave data out,"):
        robench.evaluate(tiny_net(), tiny_data, protocol="digits_linf")


def test_what_has_an_answer_is_planned(capsys: pytest.CaptureFixture[str]) -> None:
    """Noise has no norm to be bound by, and a smoothing defense gives votes."""
    fits = [
        ["attack=[pgd,cw]", "threat=l2_radii"],
        ["attack=[pgd,cw]", "threat.norm=linf", "attack.cw.norm=l2"],
        ["attack=pgd", "threat.norm=linf", "threat.eps=1"],
        ["metric=certified", "defense=intrs"],
    ]
    for arguments in fits:
        assert command(["run", "--dry-run", *arguments], capsys)[0] == 0
