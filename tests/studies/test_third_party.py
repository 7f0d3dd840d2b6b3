"""A study of another package: the walk `docs/contributing/add-a-study.md`, done word for word."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from robench.base.errors import PluginError
from robench.cli.main import main
from robench.core.record import Value
from robench.plugin import registry
from robench.studies import Claim, Difference, Measure, PaperCell, Study, Variant, catalogue
from tests.published import copy_of
from tests.studies.study_toys import put

WALK = Path(__file__).resolve().parents[2] / "docs/contributing/add-a-study.md"
FILE = re.compile(r'^```\w+ title="(?P<path>[^"]+)"\n(?P<text>.*?)^```$', re.M | re.S)
RECORD = "0123456789abcdef"


@pytest.fixture
def lee2030(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The walk's package, importable and registered as an installed plugin is."""
    for block in FILE.finditer(WALK.read_text(encoding="utf-8")):
        path = tmp_path / "site" / block["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block["text"], encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    module = importlib.import_module("lee2030")
    _register(monkeypatch, module)
    yield module
    for name in [name for name in sys.modules if name.split(".")[0] == "lee2030"]:
        del sys.modules[name]


def _register(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> None:
    found = registry.discover([("lee2030", "lee", "1", lambda: module)])
    assert not found.broken
    monkeypatch.setattr(catalogue, "registry", lambda: found)


def records(folder: Path, under_pgd: float) -> Path:
    variant = Variant(
        "plain",
        {
            "dataset": ("digits",),
            "model": ("small_cnn",),
            "defense": ("none",),
            "compressor": ("ptq",),
        },
        {"compressor.ptq.bits": 4},
    )
    axes = {"attack": "pgd", "access": "white_box"}
    values = (
        Value(metric="clean_accuracy", value=0.9, unit="share"),
        Value(metric="attacked_accuracy", value=under_pgd, unit="share", axes=dict(axes)),
    )
    folder.mkdir()
    put(folder, RECORD, variant, {("pgd", "white_box", 0.1): under_pgd}, clean=0.9, values=values)
    return folder


@pytest.mark.usefixtures("lee2030")
def test_the_walks_package_gets_its_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = records(tmp_path / "records", 0.57)
    assert main(["study", "lee2030", "--records", str(where)]) == 0
    shown = capsys.readouterr().out
    assert (
        "| plain | 90.0 [85.1, 93.4] / 97.0 / \N{MINUS SIGN}7.0 | 57.0 [50.1, 63.7] / 5.0 / +52.0 |"
        in shown
    )
    assert "**C1: not reproduced.** PGD costs the plain network at least 50 points." in shown
    assert "Reason: PGD leaves 57 of 90 here, the paper's 5 of 97; a second seed had 61." in shown


@pytest.mark.usefixtures("lee2030")
def test_its_reason_goes_when_the_record_says_otherwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = records(tmp_path / "records", 0.6)
    assert main(["study", "lee2030", "--records", str(where)]) == 0
    shown = capsys.readouterr().out
    assert f"Reason not shown: record {RECORD} says 60 for attacked_accuracy" in shown


PUBLISHED = WALK.parents[2] / "leaderboard/records"
ORIG = "84e16cea9e0bbc71"


@pytest.mark.parametrize(
    ("leaves", "sentence"),
    [
        ("0.0", "Reason found: PGD leaves 0.0"),
        ("0.1", f"Reason not shown: record {ORIG} says 0 for attacked_accuracy"),
    ],
)
def test_the_page_has_its_study(
    leaves: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_of(PUBLISHED / ORIG, tmp_path / "records" / ORIG)
    (tmp_path / "mine.yaml").write_text(
        f"C1: {{words: PGD leaves {leaves}, read from: [{{record: {ORIG}, says: '{leaves}', "
        "metric: attacked_accuracy, axes: {attack: pgd, access: white_box}}]}"
    )
    variant = Variant("plain", {"dataset": ("mnist",), "defense": ("none",)})
    clean, pgd = Measure("clean"), Measure("PGD", "pgd")
    claim = Claim("C1", "It holds.", [Difference((variant, pgd), (variant, clean), least=-0.1)])
    tables, cells = {"Table 1": [clean, pgd]}, [PaperCell("1", variant, pgd, 0.05)]
    mine = Study("mine", "Mine", "me", [variant], tables, cells, [claim], {}, reasons=tmp_path)
    bare = Study("bare", "Bare", "me", [variant], tables, cells, [], {})
    found = registry.Registry(studies=[("mine", lambda: [mine, bare])])
    monkeypatch.setattr(catalogue, "registry", lambda: found)
    assert main(["leaderboard", str(tmp_path / "records"), "--out", str(tmp_path / "page")]) == 0
    page = (tmp_path / "page/studies/mine.html").read_text(encoding="utf-8")
    assert sentence in page
    assert "paper 5.0" in page
    assert '<span class="tone off">\N{MINUS SIGN}5.0</span>' in page
    assert "<summary>1 check</summary>" in page
    assert "claims-title" in page
    assert "claims-title" not in (tmp_path / "page/studies/bare.html").read_text(encoding="utf-8")


def test_what_is_no_study_names_the_plugin(
    lee2030: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, make = catalogue.registry().studies[0]
    found = registry.Registry(studies=[("bad", lambda: ["a study"])])
    monkeypatch.setattr(catalogue, "registry", lambda: found)
    with pytest.raises(PluginError, match="plugin 'bad': expected a Study"):
        catalogue.studies()
    found.studies[:] = [("lee", make), ("again", make)]
    with pytest.raises(PluginError, match="plugin 'again': the study 'lee2030' is there already"):
        catalogue.studies()
    found.studies[:] = [("ill", lambda: 1 / 0)]
    with pytest.raises(
        PluginError, match="plugin 'ill': its studies fail: ZeroDivisionError: division by zero"
    ):
        catalogue.studies()
