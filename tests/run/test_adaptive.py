"""What a defense brings against itself: run by a full audit, named by its key, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

import robench
from robench.base.errors import PluginError
from robench.core.threat import Threat
from robench.run.cache import Cache
from robench.run.config import AuditConfig, Places, RunConfig
from robench.run.examination import adaptive_attacks, examine, subset
from robench.run.stages import Stages
from robench.testing.tiny import TinyData
from robench.training.recipe import TrainConfig
from robench_attacks.gradient import FGSM, PGD
from robench_compressors.none import NoCompression
from robench_data.small_cnn import SmallCNN

THREAT = Threat("linf", 0.2)


@dataclass(frozen=True, kw_only=True)
class Brings(robench.Defense):
    """Brings what it is told to."""

    what: str = "attack"

    def adaptive(self, system: Any, threat: Any) -> Any:
        """An attack, none, something else, or an error."""
        assert threat == THREAT
        object.__setattr__(threat, "eps", 9.0)
        if self.what == "error":
            raise ValueError("no idea")
        return {"attack": FGSM(), "none": None, "else": 3, "options": PGD(steps=2)}[self.what]


def made(places: Places, what: str, level: str = "full") -> Stages:
    config = RunConfig(
        dataset={"tiny": TinyData()},
        model={"small": SmallCNN()},
        compressor={"none": NoCompression()},
        defense={"brings": Brings(what=what)},
        attack={},
        metric={},
        certifier={},
        train=TrainConfig(epochs=1),
        audit=AuditConfig(level=level),
    )
    return Stages(config, places, Cache(places.cache))


def test_an_attack_or_none(places: Places) -> None:
    assert adaptive_attacks(made(places, "attack"), THREAT) == {"brings": FGSM()}
    assert adaptive_attacks(made(places, "none"), THREAT) == {}
    assert THREAT.eps == 0.2


@pytest.mark.parametrize(("what", "text"), [("else", "Attack or None"), ("error", "no idea")])
def test_anything_else_is_refused_by_name(what: str, text: str, places: Places) -> None:
    with pytest.raises(PluginError, match=f"Brings.*{text}"):
        adaptive_attacks(made(places, what), THREAT)


@pytest.fixture
def places(tmp_path: Any) -> Places:
    return Places(cache=tmp_path / "cache", results=tmp_path / "results")


@pytest.mark.slow
def test_a_full_audit_runs_it(places: Places) -> None:
    stages = made(places, "options")
    examined = examine(stages, THREAT, subset(stages), {}, None)
    assert "adaptive" in {finding.check for finding in examined.findings}
