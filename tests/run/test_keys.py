"""What a result is valid for enters its key; what it was made on does not."""

from __future__ import annotations

import base64
import hashlib
import sys
import textwrap
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import invalidate_caches
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

import robench
from robench.core.record import Record
from robench.plugin.registry import Choice, registry
from robench.run import keys
from robench.run.config import Places
from robench.run.versions import STEPS
from tests.conftest import tiny_net


class Counted(nn.Module):
    """A tiny network whose forward can be another one with the same weights."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.net = tiny_net()
        self.scale = scale

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.net(images) * self.scale
        return logits


class Turned(Counted):
    """The same weights, another answer."""

    def forward(self, images: Tensor) -> Tensor:
        return -super().forward(images)


@dataclass(frozen=True, kw_only=True)
class Tiny(robench.Model):
    """A tiny network to be trained."""

    recipe: ClassVar[dict[str, Any]] = {"epochs": 3, "lr": 0.01, "batch": 30}

    def build(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        return tiny_net()


def evaluate(places: Places, data: robench.Data, model: Any = None, **given: Any) -> Record:
    """A small run: one attack, the quick audit, accuracy."""
    given = {"attack": "fgsm", "audit": "quick", "images": 30, **given}
    return robench.evaluate(model or Tiny(), data, places=places, **given)


def entries(places: Places) -> Counter[str]:
    """How many results of each step the cache holds, beside the notes of whole records."""
    manifests = places.cache.glob("*/*/*/manifest.json")
    steps = Counter(path.parent.parent.parent.name for path in manifests)
    del steps["record"]
    return steps


def test_another_torch_judges_anew_and_trains_nothing(
    places: Places, tiny_data: robench.Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = evaluate(places, tiny_data)
    before = entries(places)
    monkeypatch.setattr(torch, "__version__", "2.99.0")
    second = evaluate(places, tiny_data)
    added = entries(places) - before
    assert {"judge", "audit", "measure"} <= set(added)
    assert not {"train", "attack"} & set(added), "weights and examples are valid as they are"
    assert second.values == first.values
    assert second.provenance.weights == first.provenance.weights
    assert second.provenance.weights is not None
    assert second.provenance.weights.torch != "2.99.0", "they say where they were made"


def test_another_number_of_threads_trains_nothing(places: Places, tiny_data: robench.Data) -> None:
    evaluate(replace(places, threads=1), tiny_data)
    before = entries(places)
    try:
        record = evaluate(replace(places, threads=2), tiny_data)
    finally:
        torch.set_num_threads(1)
    added = entries(places) - before
    assert not {"train", "attack"} & set(added)
    assert "judge" in added
    assert record.provenance.threads == 2
    assert record.provenance.weights is not None
    assert record.provenance.weights.threads == 1
    assert {row.made_on.threads for row in record.rows if row.made_on} == {1}


def test_the_same_weights_trained_again_change_nothing_below(
    places: Places, tiny_data: robench.Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate(places, tiny_data)
    before = entries(places)
    monkeypatch.setitem(STEPS, "train", STEPS["train"] + 1)  # type: ignore[misc]
    evaluate(places, tiny_data)
    # The audit of a network without a float parent may train another, which is not the same now.
    assert entries(places) - before == Counter({"train": 1, "audit": 1}), "early cut-off"


def test_a_raised_version_makes_a_result_anew(
    places: Places, tiny_data: robench.Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate(places, tiny_data)
    before = entries(places)
    fgsm = registry().get("attack", "fgsm").cls
    monkeypatch.setattr(fgsm, "version", "99")
    evaluate(places, tiny_data)
    assert entries(places) - before == Counter({"attack": 1}), "the same examples judge the same"


@pytest.mark.parametrize("other", [Turned(), Counted(2.0)], ids=["another forward", "attribute"])
def test_equal_weights_do_not_make_an_equal_network(
    places: Places, tiny_data: robench.Data, other: nn.Module
) -> None:
    first = evaluate(places, tiny_data, Counted())
    assert evaluate(places, tiny_data, Counted()).id == first.id
    assert evaluate(places, tiny_data, other).id != first.id


def test_what_cannot_be_told_is_not_kept(
    places: Places, tiny_data: robench.Data, capsys: pytest.CaptureFixture[str]
) -> None:
    network = Counted()
    network.unknown = object()  # type: ignore[assignment]
    first = evaluate(places, tiny_data, network)
    again = evaluate(places, tiny_data, network)
    assert first.id != again.id
    assert "nothing of it is kept for another call" in capsys.readouterr().err


def test_hooks_are_part_of_a_network(places: Places, tiny_data: robench.Data) -> None:
    network, hooked = Counted(), Counted()
    hooked.register_forward_hook(lambda module, images, logits: logits.roll(1, 1))
    assert evaluate(places, tiny_data, network).id != evaluate(places, tiny_data, hooked).id


def component(places: Path, text: str, name: str = "foreign_attack") -> type[robench.Attack]:
    """An attack of a module in a folder on the path, written anew."""
    folder = places / "foreign"
    folder.mkdir(exist_ok=True)
    helper = folder / "foreign_helper.py"
    if not helper.exists():
        helper.write_text("SCALE = 1\n", encoding="utf-8")
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    sys.modules.pop(name, None)
    invalidate_caches()
    found: type[robench.Attack] = __import__(name).Foreign
    return found


FOREIGN = textwrap.dedent(
    """
    from dataclasses import dataclass
    import robench
    import foreign_helper

    @dataclass(frozen=True, kw_only=True)
    class Foreign(robench.Attack):
        '''Somebody's attack.'''

        def run(self, twin, images, labels, threat, rng):
            return images + foreign_helper.SCALE * threat.eps
    """
)


def test_an_author_who_edits_a_plugin_never_sees_an_old_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path / "foreign"))
    first = keys.component_key(component(tmp_path, FOREIGN)())
    assert keys.component_key(component(tmp_path, FOREIGN)()) == first
    edited = keys.component_key(component(tmp_path, FOREIGN.replace("images +", "images -"))())
    assert edited != first
    helper = tmp_path / "foreign" / "foreign_helper.py"
    back = keys.component_key(component(tmp_path, FOREIGN)())
    assert back == first
    helper.write_text("SCALE = 2\n", encoding="utf-8")
    assert keys.component_key(component(tmp_path, FOREIGN)()) != first, "what it imports counts"


def test_our_own_components_are_keyed_by_name_and_version_alone() -> None:
    pgd = registry().get("attack", "pgd").make()
    cls = type(pgd)
    key = keys.component_key(pgd)
    assert key["component"] == "robench/attack/pgd"
    assert "code" not in key
    names = cls.__module__, cls.__qualname__
    try:
        cls.__module__, cls.__qualname__ = "somewhere.else", "Renamed"
        assert keys.component_key(pgd) == key, "a moved or renamed class retrains nothing"
    finally:
        cls.__module__, cls.__qualname__ = names


def test_a_preset_is_its_class_with_options() -> None:
    margin = registry().get("attack", "pgd_margin").make()
    by_hand = registry().get("attack", "pgd").make(loss="margin")
    assert keys.component_key(margin) == keys.component_key(by_hand)


@pytest.mark.parametrize("editable", [False, True])
def test_an_installed_wheel_is_named_by_its_version_an_editable_one_by_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, editable: bool
) -> None:
    from robench.plugin import source

    site = tmp_path / "foreign"
    monkeypatch.syspath_prepend(str(site))
    cls = component(tmp_path, FOREIGN, "foreign_wheel")
    info = site / "foreign_wheel-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign-wheel\nVersion: 1.2\n")
    content = (site / "foreign_wheel.py").read_bytes()
    sha = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    (info / "RECORD").write_text(f"foreign_wheel.py,sha256={sha},{len(content)}\n")
    if editable:
        (info / "direct_url.json").write_text('{"dir_info": {"editable": true}, "url": "file:"}')
    source._wheel.cache_clear()
    choice = Choice("attack", "foreign_wheel", cls, "p", "foreign-wheel", "1.2")
    monkeypatch.setitem(registry().choices["attack"], "foreign_wheel", choice)
    code = keys.component_key(cls())["code"]
    source._wheel.cache_clear()
    assert keys.component_key(cls())["component"] == "foreign-wheel/attack/foreign_wheel"
    assert ("distribution" in code, "code" in code) == (not editable, editable)
    if not editable:
        assert code["distribution"] == "foreign-wheel 1.2"


SESSION = """
from dataclasses import dataclass
import robench
from robench.run import keys
SCALE = {scale}
def helper(): return SCALE
@dataclass(frozen=True, kw_only=True)
class Mine(robench.Attack):
    steps: int = 3
    def run(self, twin, images, labels, threat, rng):
        {body}
print(keys.component_key(Mine()))
"""


def test_a_component_of_a_session_is_keyed_by_what_its_code_can_reach() -> None:
    """As in a notebook: no file, helpers and constants in the same namespace, each cell anew."""
    import subprocess

    plus, minus = "return images + helper()", "return images - helper()"
    given = (("1", plus), ("1", plus), ("2", plus), ("1", minus))
    cells = [SESSION.format(scale=scale, body=body) for scale, body in given]
    text = f"for cell in {cells!r}: exec(cell)"
    done = subprocess.run([sys.executable, "-"], input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, same, constant, body = done.stdout.splitlines()
    assert "'code': {'code'" in first
    assert same == first
    assert constant != first, "a constant that its helper reads"
    assert body != first


def judged_labels(places: Places, data: robench.Data) -> Callable[[], list[int]]:
    """The recorded labels of a smoothed system's run."""

    def labels() -> list[int]:
        record = evaluate(
            places,
            data,
            Tiny(),
            defense=registry().get("defense", "float_rs").make(draws=10),
            threat=robench.ThreatConfig(norm="l2", eps=0.5),
            audit="off",
        )
        from robench.records.store import read_outcomes

        return read_outcomes(places.results / record.id)["prediction"].tolist()

    return labels


def test_votes_of_a_random_system_follow_content_not_versions(
    places: Places, tiny_data: robench.Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = judged_labels(places, tiny_data)
    first = labels()
    for step in ("system", "judge", "attack"):
        monkeypatch.setitem(STEPS, step, STEPS[step] + 1)  # type: ignore[misc]
    assert labels() == first, "drawn again with the same seed"


def test_timings_belong_to_the_machine(
    places: Places, tiny_data: robench.Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"metric": "latency", "audit": "off"}
    evaluate(places, tiny_data, **given)
    before = entries(places)
    evaluate(places, tiny_data, **given)
    assert entries(places) == before
    monkeypatch.setattr("robench.run.pipeline.cpu_name", lambda: "another processor")
    evaluate(places, tiny_data, **given)
    assert entries(places) - before == Counter({"measure": 1})


def test_every_cached_step_has_a_version() -> None:
    """A step without one would fail with KeyError when it is first cached."""
    import re

    root = Path(keys.__file__).parent
    found = {
        name
        for path in root.glob("*.py")
        for name in re.findall(r'(?:fetch|cached|holds|key)\(\s*"(\w+)"', path.read_text("utf-8"))
    }
    assert found == set(STEPS)


def test_only_restarts_have_the_key_of_their_new_numbers() -> None:
    pgd = registry().choices["attack"]["pgd"]
    assert keys.component_key(pgd.make(restarts=2))["version"] == "2"
    assert keys.component_key(pgd.make())["version"] == "1"
    assert keys.component_key(replace(pgd.make(restarts=2), restarts=1))["version"] == "1"
