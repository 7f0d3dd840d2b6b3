"""The lock of versions sees what changes numbers and nothing else, on edited copies of the code."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("versions_tool", ROOT / "tools" / "versions.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


versions = tool()


@pytest.fixture(scope="module")
def known() -> dict[str, tuple[str, list[str]]]:
    result: dict[str, tuple[str, list[str]]] = versions.versions(ROOT)
    return result


@pytest.fixture
def copy(tmp_path: Path, known: object, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout's code and lock, to be edited; versions are those of the code imported here."""
    for folder in ("robench", "plugins"):
        ignored = shutil.ignore_patterns("__pycache__", "template")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    monkeypatch.setattr(versions, "versions", lambda root: known)
    versions.accept(tmp_path, ["all"])
    return tmp_path


def edit(root: Path, name: str, change: Callable[[str], str]) -> None:
    path = root / name
    before = path.read_text(encoding="utf-8")
    after = change(before)
    assert after != before, f"the edit of {name} must change something"
    path.write_text(after, encoding="utf-8")


def test_the_committed_lock_is_of_this_code() -> None:
    assert versions.check(ROOT) == []


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("robench/core/threat.py", "expected norm to be one of", "expected a norm among"),
        ("robench/search/ascent.py", '"""What the', '"""All that the'),
        ("robench/base/progress.py", "s left", "s to go"),
        ("robench/training/augment.py", "# Indexing", "# So indexing"),
    ],
    ids=["error text", "docstring", "progress", "comment"],
)
def test_what_changes_no_number_passes(copy: Path, name: str, old: str, new: str) -> None:
    text = (copy / name).read_text(encoding="utf-8")
    if old not in text:  # the words may be others by now; the kind of edit is what counts
        old, new = '"""', '"""Well: '
    edit(copy, name, lambda t: t.replace(old, new, 1))
    assert versions.check(copy) == []


def test_a_moved_definition_passes(copy: Path) -> None:
    """The plain loss in another module, imported from there."""
    loss = (copy / "robench/training/loss.py").read_text(encoding="utf-8")
    (copy / "robench/training/objective.py").write_text(loss, encoding="utf-8")
    (copy / "robench/training/loss.py").unlink()
    for name in ("robench/plugin/components.py",):
        edit(copy, name, lambda t: t.replace("robench.training.loss", "robench.training.objective"))
    part = "robench.plugin.components:Defense.loss"
    moved = versions.Code(copy).behind(["robench.training.objective", part])
    old = versions.Code(ROOT).behind(["robench.training.loss", part])
    assert sorted(chain(*moved.values())) == sorted(chain(*old.values()))


@pytest.mark.parametrize(
    ("name", "change", "behind"),
    [
        (
            "robench/training/loss.py",
            lambda t: t.replace(
                "F.cross_entropy(model(images), labels)",
                "F.cross_entropy(model(images), labels, label_smoothing=0.1)",
            ),
            {"train", "defense.none", "defense.intrs"},
        ),
        (
            "robench/integer/kernels/ops.h",
            lambda t: t + "/* another kernel */\n",
            {"compressor.qat_int8", "compressor.ptq_int8", "metric.certified"},
        ),
        (
            "robench/smoothing/csrc/noise.h",
            lambda t: t + "/* other noise */\n",
            {"defense.intrs", "metric.certified"},
        ),
        (
            "robench/smoothing/noise.py",
            lambda t: t + "\n",
            set(),
        ),
        (
            "robench/core/threat.py",
            lambda t: t.replace("delta.clamp(-eps, eps)", "delta.clamp(-eps, 0.99 * eps)"),
            {"attack", "attack.pgd", "audit", "defense.adversarial_training"},
        ),
        (
            "robench/search/ascent.py",
            lambda t: t.replace("_ascend", "_climb_up"),
            {"attack.pgd", "audit", "defense.adversarial_training"},
        ),
        (
            "robench/base/stats.py",
            lambda t: t.replace("1.959963984540054", "1.96"),
            {"metric.accuracy", "audit"},
        ),
    ],
    ids=[
        "plain loss",
        "kernel",
        "the certifier's C",
        "an empty line",
        "projection",
        "a renamed private helper",
        "statistics",
    ],
)
def test_what_changes_numbers_is_one_line_that_says_what_to_do(
    copy: Path, name: str, change: Callable[[str], str], behind: set[str]
) -> None:
    edit(copy, name, change)
    lines = versions.check(copy)
    assert len(lines) == bool(behind)
    for line in lines:
        for part in (name, "make accept STEP='", "raise the version"):
            assert part in line
        named = set(line.rpartition("STEP='")[2].rstrip("'").split())
        assert behind <= named, f"expected {behind} among {named}"
        assert "dataset.mnist" not in named, "what does not reach the code is left alone"


def test_the_noise_tables_count(copy: Path) -> None:
    edit(copy, "robench/smoothing/noise.py", lambda t: t + "\n\nUNUSED = 1\n")
    assert versions.check(copy) == [], "a name that nothing reaches does not count"
    edit(copy, "robench/smoothing/noise.py", lambda t: t.replace("CDF_BITS = 128", "CDF_BITS = 96"))
    (line,) = versions.check(copy)
    assert "defense.intrs" in line


def test_accepting_writes_only_what_is_named(copy: Path) -> None:
    edit(copy, "robench/training/loss.py", lambda t: t.replace("del rng", "del rng, labels[:0]"))
    (line,) = versions.check(copy)
    before = json.loads((copy / "versions.lock").read_text())["names"]
    versions.accept(copy, ["train"])
    after = json.loads((copy / "versions.lock").read_text())["names"]
    assert {name for name in after if after[name] != before[name]} == {"train"}
    (line,) = versions.check(copy)
    assert "train" not in line.rpartition("STEP='")[2].rstrip("'").split()
    versions.accept(copy, ["all"])
    assert versions.check(copy) == []


def test_a_raised_version_is_to_be_written_down(
    copy: Path, known: dict[str, tuple[str, list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    raised = known | {"train": ("2", known["train"][1])}
    monkeypatch.setattr(versions, "versions", lambda root: raised)
    (line,) = versions.check(copy)
    assert "to write the new versions down, make accept STEP='train'" in line
    versions.accept(copy, ["train"])
    assert versions.check(copy) == []


def test_an_unknown_name_is_one_line(copy: Path) -> None:
    with pytest.raises(SystemExit, match=r"expected names among .* got \['trian'\]"):
        versions.accept(copy, ["trian"])


def test_every_kernel_is_behind_something() -> None:
    code, known_here = versions.Code(ROOT), versions.versions(ROOT)
    reached = {path for _, starts in known_here.values() for path in code.behind(starts)}
    kernels = {*ROOT.glob("robench/**/*.h")}
    assert kernels
    assert kernels <= reached


def test_another_content_of_a_protocol_needs_another_version(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "conf" / "protocol", tmp_path / "conf" / "protocol")
    before = versions.protocols(tmp_path)
    name = "protocol.digits_l2"
    path = "conf/protocol/digits_l2.yaml"
    edit(tmp_path, path, lambda t: t.replace("title: ", "title: The "))
    assert versions.protocols(tmp_path) == before
    edit(tmp_path, path, lambda t: t.replace("[0.5, 1.0]", "[0.25, 1.0]"))
    now = versions.protocols(tmp_path)
    assert {n for n in now if now[n] != before[n]} == {name}
    assert versions._same_version(now, before, ["all"]) == [name]
    assert versions._same_version(now, before, [name]) == [name]
    assert versions._same_version(now, before, ["attack.pgd"]) == []
    edit(tmp_path, path, lambda t: t.replace("version: 3", "version: 4"))
    assert versions._same_version(versions.protocols(tmp_path), before, ["all"]) == []
