"""Named protocols: what they fix is refused where it is changed, in runs and in records."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from importlib import invalidate_caches
from pathlib import Path
from typing import Any

import pytest
import torch

from robench.base.errors import ConfigError, DataError, UserError
from robench.base.paths import shipped
from robench.cli.main import main
from robench.core.record import DataInfo, Provenance, Record, TwinAgreement, run_id
from robench.core.threat import ThreatConfig
from robench.plugin.registry import registry
from robench.records import protocols
from robench.records.consistent import check_config, inspect
from robench.records.protocols import Protocol, protocol_of, read, why_open
from robench.run import compose
from robench.run.again import again
from robench.run.cache import Cache
from robench.run.compose import from_plain
from robench.run.config import Places, RunConfig, component_versions, fixed_parts
from robench.run.stages import Stages
from robench_compressors.none import NoCompression
from robench_data.small_cnn import SmallCNN
from robench_defenses.none import NoDefense

FILES = sorted((shipped("conf") / "protocol").glob("*.yaml"))
NAMES = [path.stem for path in FILES]


def config_of(protocol: Protocol, seed: int = 0, **parts: Any) -> RunConfig:
    made: dict[str, Any] = {
        "model": {"small_cnn": SmallCNN()},
        "defense": {"none": NoDefense()},
        "compressor": {"none": NoCompression()},
        "certifier": {"sequential": registry().get("certifier", "sequential").make()},
    }
    return RunConfig(**made, **fixed_parts(protocol), **parts, seed=seed)


def record_of(config: RunConfig) -> Record:
    """A record of a run that was never made, as far as protocols read one."""
    protocol = config.protocol
    assert protocol is not None
    plain = config.plain()
    name = next(iter(config.dataset))
    return Record(
        id=run_id(plain),
        config=plain,
        seed=config.seed,
        data=DataInfo(
            name=name, hash=protocol.data, images=protocol.images, subset=protocol.subset
        ),
        values=(),
        rows=(),
        agreement=TwinAgreement(equal_labels=1, logit_gap=0, n=1, flagged=False),
        protocol="0" * 16,
        provenance=Provenance(
            robench="0",
            distributions={},
            components=component_versions(config),
            python="3",
            machine="",
            device="cpu",
            threads=1,
        ),
    )


def changed(record: Record, path: str, value: Any) -> Record:
    """The record with another value somewhere in its configuration, and the id of that."""
    config = copy.deepcopy(record.config)
    *above, last = path.split(".")
    inner = config
    for name in above:
        inner = inner[name]
    inner[last] = value
    return record.model_copy(update={"config": config, "id": run_id(config)})


def leaves(value: Any, where: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, one in value.items():
            yield from leaves(one, f"{where}.{name}")
    else:
        yield where, value


def fixed_leaves(protocol: Protocol) -> Iterator[tuple[str, Any]]:
    """Every plain value of a run's configuration that the protocol fixes."""
    plain = config_of(protocol).plain()
    for part in ("dataset", "attack", "access", "threat"):
        yield from leaves(plain[part], part)
    if protocol.certified is not None:
        yield from leaves(plain["metric"]["certified"], "metric.certified")
    yield from (("images", plain["images"]), ("audit.images", None), ("audit.level", "quick"))


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_protocol_is_installed_and_kept_by_a_run_under_it(name: str) -> None:
    protocol = protocols.get(name)
    config = config_of(protocol)
    record = record_of(config)
    assert protocol.package == "robench"
    assert config.plain()["protocol"] == {"name": name, "version": protocol.version}
    assert why_open(record) == ""
    assert protocol_of(record) is protocol
    assert from_plain(config.plain()) == config
    assert list(protocol.changed(config.plain(), component_versions(config))) == []


@pytest.mark.parametrize(
    ("where", "own", "version"),
    [(None, None, "4"), ("linf", None, "2"), ("l2", None, "4"), ("l2", "linf", "2")],
)
def test_an_attack_may_have_changed_in_one_norm_alone(
    where: str | None, own: str | None, version: str
) -> None:
    attack = registry().get("attack", "strongest").make(norm=own)
    config = replace(
        config_of(protocols.get("digits_l2")),
        threat=ThreatConfig(norm=where),
        attack={"strongest": attack},
    )
    assert component_versions(config)["attack.strongest"].endswith(f" / {version}")


@pytest.mark.parametrize("name", NAMES)
def test_every_part_that_is_fixed_is_refused_when_it_is_changed(name: str) -> None:
    protocol = protocols.get(name)
    record = record_of(config_of(protocol))
    parts = list(fixed_leaves(protocol))
    assert len(parts) > 8
    for where, value in parts:
        other = {} if value == "off" else "off" if where == "audit.level" else ["other", value]
        forged = changed(record, where, other)
        assert protocol_of(forged) is None, where
        words = why_open(forged)
        assert where.replace(".level", "") in words, words
        assert "\n" not in words
        with pytest.raises(ConfigError, match="fixes it; leave it as it is"):
            protocol.require(forged.config, record.provenance.components)


@pytest.mark.parametrize("name", NAMES)
def test_other_data_images_and_versions_are_an_open_run(name: str) -> None:
    protocol = protocols.get(name)
    record = record_of(config_of(protocol))
    for part, value in (("hash", "0" * 16), ("images", 7), ("subset", "0" * 16)):
        data = record.data.model_copy(update={part: value})
        assert f"data.{part}" in why_open(record.model_copy(update={"data": data}))
    for component in protocol.versions:
        versions = {**record.provenance.components, component: "robench 0.1.0 / 99"}
        about = record.provenance.model_copy(update={"components": versions})
        assert f"of {component}, got 99" in why_open(
            record.model_copy(update={"provenance": about})
        )


def test_what_is_fixed_comes_from_robench_or_from_who_ships_the_protocol(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    protocol = protocols.get("digits_linf")
    record = record_of(config_of(protocol))
    for component in ("attack.pgd", "dataset.digits"):
        version = record.provenance.components[component].rpartition(" / ")[2]
        other = {**record.provenance.components, component: f"my weak attacks 0.1 / {version}"}
        about = record.provenance.model_copy(update={"components": other})
        words = why_open(record.model_copy(update={"provenance": about}))
        assert f"{component} of robench, got it of my weak attacks" in words
        with pytest.raises(ConfigError, match="got it of my weak attacks: protocol digits_linf"):
            protocol.require(record.config, other)
    monkeypatch.setitem(registry().config_packages, "mine", "my weak attacks")
    theirs = Protocol(**{**vars(protocol), "package": "mine"})
    assert list(theirs.changed(record.config, other)) == []
    assert list(theirs.changed(record.config, record.provenance.components)) == []


def test_what_is_free_stays_free() -> None:
    record = record_of(config_of(protocols.get("digits_linf"), seed=7))
    for where, value in (
        ("train.epochs", 3),
        ("defense", {"other": {}}),
        ("compressor", {"ptq": {"bits": 3}}),
        ("metric", {"size": {}}),
        ("certifier.sequential.alpha", 0.5),
        ("audit.level", "full"),
        ("audit.checks", ["mine"]),
        ("seed", 9),
    ):
        assert why_open(changed(record, where, value)) == "", where


def test_a_certificate_may_not_err_more_often_than_the_protocol_says() -> None:
    record = record_of(config_of(protocols.get("digits_certified_l2")))
    for alpha, kept in ((0.001, True), (1e-6, True), (0.0011, False), (None, False), ("0", False)):
        one = changed(record, "certifier.sequential.alpha", alpha)
        assert bool(protocol_of(one)) is kept, alpha
    without = changed(record, "metric", {"accuracy": {}})
    assert "metric.certified" in why_open(without)


@pytest.mark.parametrize("made", ["evil 1.0 / 2", "robench 9 / 99", "robench 0.1.0 / x"])
def test_a_certifier_of_robench_is_its_own_and_none_to_come(made: str) -> None:
    record = record_of(config_of(protocols.get("digits_certified_l2")))
    for own, kept in ((made, False), ("robench 0.1.0 / 1", True)):
        components = {**record.provenance.components, "certifier.sequential": own}
        provenance = record.provenance.model_copy(update={"components": components})
        one = record.model_copy(update={"provenance": provenance})
        assert bool(protocol_of(one)) is kept
        assert kept or f"certifier.sequential of robench, at most version 2, got {made}" in (
            why_open(one)
        )


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (None, "no protocol was chosen"),
        ({"name": "digits_linf", "version": 99}, "version 99 is not installed here (1 is)"),
        ({"name": "nobodys", "version": 1}, "nobodys version 1 is not installed here (no version"),
        ({"name": "digits_linf"}, "expected a protocol's name and version"),
        ({"name": "digits_linf", "version": True}, "expected a protocol's version"),
        ("digits_linf", "expected a protocol's name and version"),
    ],
)
def test_an_open_run_says_why(given: Any, reason: str) -> None:
    record = record_of(config_of(protocols.get("digits_linf")))
    assert reason in why_open(changed(record, "protocol", given))


def test_the_images_are_the_protocols_whatever_the_seed(tmp_path: Path) -> None:
    protocol = protocols.get("digits_linf")
    places = Places(cache=tmp_path)
    drawn = [Stages(config_of(protocol, seed), places, Cache(tmp_path)).subset for seed in (0, 5)]
    assert torch.equal(*drawn)
    part = Protocol(**{**vars(protocol), "images": 100})
    for seed in (0, 5):
        with pytest.raises(DataError, match="which protocol digits_linf fixes, got"):
            _ = Stages(config_of(part, seed), places, Cache(tmp_path)).subset


def test_a_record_that_breaks_the_protocol_it_names_contradicts_itself(tmp_path: Path) -> None:
    record = record_of(config_of(protocols.get("digits_linf")))
    check_config(record)
    with pytest.raises(UserError, match="expected a protocol's version"):
        check_config(changed(record, "protocol", {"name": "digits_linf", "version": "1"}))
    forged = changed(record, "attack.pgd.steps", 1)
    (tmp_path / "record.json").write_text(forged.model_dump_json())
    with pytest.raises(UserError, match=r"attack\.pgd\.steps=40, got 1: the record says that it"):
        inspect(tmp_path)


@pytest.mark.parametrize("name", ["digits_l2", "cifar10_linf", "cifar10_certified_l2"])
def test_the_command_names_the_protocol_and_nothing_that_it_fixes(name: str) -> None:
    config = config_of(protocols.get(name), seed=3)
    if "certified" in name:
        known = registry()
        smoothed = {
            "defense": {"intrs": known.get("defense", "intrs").make()},
            "compressor": {"qat_int8": known.get("compressor", "qat_int8").make()},
        }
        config = replace(config, **smoothed)
    found = again(record_of(config))
    assert found.command is not None, found.reason
    words = found.command.split()
    assert f"protocol={name}" in words
    fixed = ("dataset", "attack", "access", "threat", "images", "metric.certified")
    assert not [word for word in words if word.startswith(fixed)]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("attack.pgd.steps=3", "expected attack.pgd.steps=40, got 3"),
        ("dataset=mnist", "expected dataset=[digits], got [mnist]"),
        ("protocol.version=2", "a protocol of your own is a file of your own"),
        ("protocol=digit_linf", "did you mean 'digits_linf'?"),
    ],
)
def test_the_command_line_refuses_a_change_in_one_line(
    typed: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = [] if typed.startswith("protocol=") else ["protocol=digits_linf"]
    assert main(["run", *chosen, typed, "--dry-run"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_a_protocol_wins_over_what_a_defense_brings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "protocol=digits_linf", "defense=intrs", "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["threat"]["norm"] == "linf"
    assert list(plan["compressor"]) == ["qat_int8"]


GOOD = (shipped("conf") / "protocol" / "digits_linf.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# @package _global_\n", ""),
        ("name: digits_linf", "name: other"),
        ("version: 1", "version: 0"),
        ("version: 1", "version: one"),
        ("seed: 0", "sead: 0"),
        ("minutes:", "minutes: -1 #"),
        ('data: "', 'data: "x'),
        ("norm: linf", "norm: linf\nseed: 3"),
        ("images: 360", "images: ${seed}"),
        ("images: 360", "images: many"),
        ("images: 360\n", ""),
        ("eps: [0.1, 0.2]", "eps: [strong]"),
        ("eps: [0.1, 0.2]", "eps: 0.2"),
        ("eps: 0.2", "eps: 0.15"),
        ("eps: 0.2", "radius: 0.5"),
        ("norm: linf", "norm: l1"),
        ("threat: usual", "threat: l2_radii"),
        ("audit: quick", "audit: slow"),
        ("dataset: digits", "dataset: nobodys"),
        ("dataset: digits", "model: small_cnn"),
        ("  - override /access: white_box\n", ""),
        ("access: white_box", "access: elsewhere"),
        ('attack.pgd: "1"', 'attack.bim: "1"'),
        ('attack.pgd: "1"', "attack.pgd: 1"),
        ("images: 360", "images: 360\nattack: {pgd: {stepps: 3}}"),
        ("images: 360", "images: 360\nattack: {cw: {}}"),
        ("images: 360", "images: ["),
    ],
)
def test_a_malformed_file_is_refused(tmp_path: Path, old: str, new: str) -> None:
    assert old in GOOD
    path = tmp_path / "digits_linf.yaml"
    path.write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(Exception, match=r"."):  # YAML has errors of its own
        read(path, "mine")


def test_a_plugins_protocols_stand_beside_ours_and_bad_ones_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "own_protocols" / "protocol"
    folder.mkdir(parents=True)
    (tmp_path / "own_protocols" / "__init__.py").touch()
    mine = GOOD.replace("name: digits_linf", "name: mine").replace("[0.1, 0.2]", "[0.2]")
    (folder / "mine.yaml").write_text(mine, encoding="utf-8")
    (folder / "digits_linf.yaml").write_text(GOOD, encoding="utf-8")
    (folder / "broken.yaml").write_text("# @package _global_\nimages: [", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    invalidate_caches()
    monkeypatch.setattr(registry(), "config_packages", {"own_protocols": "own"})
    protocols._installed.cache_clear()
    try:
        found = protocols.protocols()
        assert set(found) == {*NAMES, "mine"}
        assert found["mine"].package == "own_protocols"
        assert found["mine"].eps == (0.2,)
        assert found["digits_linf"].package == "robench"
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 2
        assert said[0].startswith("robench: protocol broken of own_protocols is skipped: ")
        assert "its name is taken" in said[1]
        with pytest.raises(ConfigError, match="that can be used, got broken: "):
            protocols.get("broken")
        assert main(["plugins", "protocol"]) == 0
        assert "mine" in capsys.readouterr().out
        # Composed by Hydra as ours are; presets whose names are taken leave the whole package out.
        (folder / "digits_linf.yaml").unlink()
        compose.preset_packages.cache_clear()
        assert main(["run", "protocol=mine", "--dry-run", "--json"]) == 0
        plan = json.loads(capsys.readouterr().out)
        assert plan["protocol"] == {"name": "mine", "version": 1}
        assert plan["threat"]["eps"] == [0.2]
        assert main(["run", "protocol=broken", "--dry-run"]) == 2
    finally:
        protocols._installed.cache_clear()
        compose.preset_packages.cache_clear()
