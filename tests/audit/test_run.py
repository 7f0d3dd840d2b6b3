"""The audit as a step of a run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import pytest
from torch import nn

import robench
from robench.base.errors import ConfigError
from robench.cli.record_table import print_record
from robench.core.data import Data
from robench.core.record import Record
from robench.plugin.registry import Choice, registry
from robench.run.config import AuditConfig, Places, joined
from tests.audit.zoo import Zoo
from tests.audit.zoo.layers import Scale


def audited(zoo: Zoo, model: nn.Module, places: Places, attack: str = "fgsm") -> Record:
    lesson = zoo.lesson
    usual = robench.UsualThreat({"linf": (0.05, 0.1, 0.15)}, 0.1)
    data = Data(lesson.train, lesson.test, tuple("0123456789"), usual)
    return robench.evaluate(model, data, attack=attack, audit="quick", places=places)


@pytest.fixture
def masked(zoo: Zoo, places: Places) -> Record:
    return audited(zoo, nn.Sequential(zoo.base(), Scale(1000.0)), places)


def test_masked_record(masked: Record) -> None:
    (audit,) = masked.audit
    assert (audit.norm, audit.eps, audit.verdict) == ("linf", 0.15, "fail")
    robust = masked.find("robust_accuracy", attack="fgsm")
    held = masked.find("audited_accuracy", norm="linf", eps=0.15)
    gained = masked.find("gained_by_masking", attack="fgsm")
    assert robust is not None
    assert held is not None
    assert gained is not None
    assert robust.value == pytest.approx(held.value + gained.value)  # type: ignore[operator]
    assert gained.low is not None
    assert gained.low > 0.5
    assert [weak.attack for weak in audit.weak_attacks] == ["fgsm"]


def test_an_honest_weak_row_is_weak_not_masked(zoo: Zoo, places: Places) -> None:
    record = audited(zoo, zoo.base(), places)
    assert record.audit[0].verdict == "pass"
    assert [weak.attack for weak in record.audit[0].weak_attacks] == ["fgsm"]


def test_same_record_again_from_the_cache(
    masked: Record, zoo: Zoo, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    import robench.run.examination

    def never(*_: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(robench.run.examination, "_run", never)
    again = audited(zoo, nn.Sequential(zoo.base(), Scale(1000.0)), places)
    assert again.audit == masked.audit
    assert again.values == masked.values


def test_shown_with_its_reasons(
    masked: Record, places: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    print_record(masked, places.results / masked.id)
    shown = " ".join(capsys.readouterr().out.split())
    assert "masked at linf 0.15: gradients mislead" in shown
    (weak,) = masked.audit[0].weak_attacks
    points = f"{100 * weak.gained:.0f} points at linf 0.15"
    assert f"weak attack: fgsm overstates by {points}" in shown
    assert f"audit: quick, on {masked.data.images} images" in shown


@pytest.mark.parametrize("options", [{"level": "deep"}, {"images": 3}])
def test_bad_options(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="expected audit"):
        AuditConfig(**options)  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class Curious(robench.Check):
    """A registered check that joins the quick audit."""

    levels: ClassVar[tuple[str, ...]] = ("quick",)

    def look(self, trial: robench.Trial) -> Iterable[robench.Finding]:
        yield robench.Finding(
            check="curious", value=float(len(trial)), verdict="pass", sentence="It looked."
        )


@pytest.mark.parametrize(("level", "joins"), [("quick", True), ("full", False), ("off", False)])
def test_a_registered_check_joins_its_levels_as_a_built_in_one(
    places: Places,
    tiny_data: Data,
    trained_net: nn.Module,
    monkeypatch: pytest.MonkeyPatch,
    level: str,
    joins: bool,
) -> None:
    choice = Choice("check", "curious", Curious, "test", "test", "0")
    monkeypatch.setitem(registry().choices["check"], "curious", choice)
    config = joined(AuditConfig(level=level))
    assert (list(config.checks) == ["curious"]) == joins
    if not joins:
        return
    record = robench.evaluate(
        trained_net, tiny_data, attack="fgsm", audit=level, images=20, places=places
    )
    assert record.config["audit"]["checks"] == ["curious"], "the configuration says that it ran"
    assert [f.value for f in record.audit[0].findings if f.check == "curious"] == [20.0]
    monkeypatch.delitem(registry().choices["check"], "curious")
    without = robench.evaluate(
        trained_net, tiny_data, attack="fgsm", audit=level, images=20, places=places
    )
    assert without.id != record.id
