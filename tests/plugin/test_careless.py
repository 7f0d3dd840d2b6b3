"""Mistakes of plugins: each ends in one line that names the component, and none moves a number."""

from __future__ import annotations

import base64
import hashlib
import sys
from dataclasses import dataclass, field
from importlib import invalidate_caches
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import robench
from robench.core import sentences
from robench.plugin import source
from robench.plugin.declared import check_declared
from robench.plugin.registry import registry
from robench.run import compose
from robench.run.config import Places


@dataclass(frozen=True, kw_only=True)
class Makes(robench.Compressor):
    """A compressor whose deployed model is what it was given."""

    bits: Any = 32
    make: Any = field(default=None, metadata={"plain": False})

    def finish(self, model: nn.Module, data: robench.Data) -> robench.System:
        """The system."""
        deployed = self.make(model) if self.make else robench.FloatDeployed(model)
        return robench.System(deployed, model)


@dataclass(frozen=True, kw_only=True)
class Ward(robench.Defense):
    """A defense that does what it was given."""

    note: Any = field(default=None, metadata={"plain": False})
    ruins: bool = False

    def fit(self, model: nn.Module, data: robench.Data, trainer: Any) -> nn.Module:
        """The model as it came."""
        trainer.notes["x"] = self.note
        return model

    def deploy(self, system: robench.System, context: Any) -> robench.System:
        """A copy of the system; may ruin the one it was given."""
        from copy import deepcopy

        good = deepcopy(system)
        if self.ruins:
            for parameter in system.twin.parameters():
                parameter.data.mul_(-1)
        return good


def run(data: robench.Data, net: nn.Module, places: Places, **given: Any) -> robench.Record:
    parts = {"attack": "fgsm", "audit": "off", "places": places, "fit": "defense" in given, **given}
    return robench.evaluate(net, data, **parts)


class Raising(robench.FloatDeployed):
    """Raises where it is asked whether it is randomised."""

    @property
    def randomised(self) -> bool:  # type: ignore[override]
        """No answer."""
        raise RuntimeError("boom")


class Vague(robench.FloatDeployed):
    """Is neither exact nor not."""

    exact = object()


class Half(robench.FloatDeployed):
    """Says that it has a program, and cannot save it."""

    program = 1

    def save(self, folder: Path) -> None:
        """No file."""
        raise RuntimeError("no disk")


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"compressor": Makes(make=Raising)}, "Makes failed: RuntimeError: boom"),
        ({"compressor": Makes(make=Vague)}, "exact of the deployed model of Makes to be True or"),
        ({"compressor": Makes(make=Half)}, "Makes failed: RuntimeError: no disk"),
        ({"compressor": Makes(bits="8")}, "bits of Makes to be a whole number 1..64, got '8'"),
        ({"compressor": Makes(bits=0)}, "bits of Makes to be a whole number 1..64, got 0"),
        ({"defense": Ward(note=object())}, "notes of Ward that JSON can hold, got TypeError"),
        ({"defense": Ward(note=float("nan"))}, "notes of Ward that JSON can hold, got ValueError"),
        ({"defense": Ward(note="x" * 2**21)}, "notes of Ward as a mapping of at most 1048576"),
        ({"defense": Ward(ruins=True)}, "deploy of Ward to leave the twin that it was given as"),
    ],
)
def test_a_mistake_ends_in_one_line_that_names_the_component(
    parts: Any,
    words: str,
    tiny_data: robench.Data,
    trained_net: nn.Module,
    places: Places,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(robench.PluginError, match=words) as raised:
        run(tiny_data, trained_net, places, **parts)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("eps", [-0.1, float("nan"), "a", True])
def test_a_usual_threat_is_numbers_of_at_least_zero(eps: Any) -> None:
    with pytest.raises(robench.ConfigError, match="three finite eps of at least 0 for linf"):
        robench.UsualThreat({"linf": (eps, eps, eps)}, 0.1)
    with pytest.raises(robench.ConfigError, match="finite noise of at least 0"):
        robench.UsualThreat({"linf": (0.1, 0.1, 0.1)}, eps)


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("attack", "search", "minimum"),
        ("attack", "norms", ("l1",)),
        ("attack", "norms", ()),
        ("attack", "batch", 0),
        ("attack", "queries_only", "yes"),
        ("attack", "version", 2),
        ("metric", "reads", "everything"),
        ("check", "levels", ("slow",)),
    ],
)
def test_what_a_class_declares_is_checked(kind: str, name: str, value: Any) -> None:
    cls = {"attack": robench.Attack, "metric": robench.Metric, "check": robench.Check}[kind]
    check_declared(cls, kind)
    with pytest.raises(robench.PluginError, match=f"^expected {name} to be "):
        check_declared(type("Mine", (cls,), {name: value}), kind)


def test_every_component_of_robenchs_own_declares_what_fits() -> None:
    for kind, choices in registry().choices.items():
        for choice in choices.values():
            check_declared(choice.cls, kind)


class Asks(nn.Module):
    """Calls methods that have the names of builtins."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(2, 2)

    def forward(self, images: torch.Tensor) -> Any:
        """The inner answer."""
        self.inner.eval()
        return self.inner(images)


def test_a_method_named_eval_is_code_like_any_other() -> None:
    space: dict[str, Any] = {"nn": nn}
    exec("def plain(m):\n    m.eval()\n\ndef dynamic(m):\n    eval('1')\n", space)
    from robench.plugin.content import _dynamic

    assert _dynamic(space["plain"].__code__) == set()
    assert _dynamic(space["dynamic"].__code__) == {"eval"}


def test_a_wheel_whose_files_were_edited_is_named_by_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "class Mine:\n    pass\n"
    (tmp_path / "edited_wheel.py").write_text(code)
    about = tmp_path / "edited_wheel-0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: edited-wheel\nVersion: 0.1\n")
    sha = base64.urlsafe_b64encode(hashlib.sha256(code.encode()).digest()).rstrip(b"=").decode()
    (about / "RECORD").write_text(f"edited_wheel.py,sha256={sha},{len(code)}\n")
    monkeypatch.syspath_prepend(tmp_path)
    invalidate_caches()
    import edited_wheel  # type: ignore[import-not-found]

    def named() -> dict[str, str]:
        source._wheel.cache_clear()
        return source.origin(edited_wheel.Mine, "edited-wheel")

    try:
        assert named()["distribution"] == "edited-wheel 0.1"
        (tmp_path / "edited_wheel.py").write_text(code + "STRENGTH = 0\n")
        first = named()
        (tmp_path / "edited_wheel.py").write_text(code + "STRENGTH = 1\n")
        assert set(first) == {"source"}
        assert named() != first
    finally:
        del sys.modules["edited_wheel"]


def test_presets_that_take_the_place_of_others_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for package, preset in (("evil_conf", "attack/pgd"), ("good_conf", "experiment/mine")):
        path = tmp_path / package / f"{preset}.yaml"
        path.parent.mkdir(parents=True)
        path.write_text("{}")
        (tmp_path / package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    invalidate_caches()
    monkeypatch.setattr(registry(), "config_packages", {"evil_conf": "evil", "good_conf": "good"})
    compose.preset_packages.cache_clear()
    try:
        assert compose.preset_packages() == {"good_conf": {"experiment/mine"}}
        said = capsys.readouterr().err
        assert said.startswith("robench: the presets of evil_conf are skipped: ")
        assert "attack/pgd.yaml" in said
        assert compose.origin_of_preset("In 'experiment/mine': no").endswith("good_conf")
        assert compose.origin_of_preset("In 'experiment/other': no") == ""
    finally:
        compose.preset_packages.cache_clear()


def test_the_audits_own_names_of_findings_are_all_reserved() -> None:
    names = {*sentences.SENTENCES, "planted_fgsm", "another_loss"}
    assert all(map(sentences.is_own, names))
    assert not sentences.is_own("mine")
