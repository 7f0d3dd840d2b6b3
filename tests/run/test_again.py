"""A record's command is given only when composing it here gives the record's id."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import hydra
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from robench.base.errors import ConfigError
from robench.base.paths import shipped
from robench.core.record import RUN_KINDS, MadeOn, Record, run_id
from robench.plugin.registry import registry
from robench.records.retired import current
from robench.records.store import read
from robench.run.again import _found, again
from robench.run.command import _alone, _assembled, _base, _components, _usual, words_of
from robench.run.compose import from_plain, plain_config, prepare, run_config

PUBLISHED = sorted(Path("leaderboard/records").glob("*/record.json"))
OLDER = {"1081360b2e1bd3a9", "407f7bff63bbdfbe"}
"""Their configurations lack an option that came later, so that no command can give their ids."""


DEEP: Any = json.loads('[{"a":' * 150 + "1" + "}]" * 150)


def composed(overrides: list[str]) -> str:
    prepare()
    with hydra.initialize_config_dir(str(shipped("conf")), version_base="1.3"):
        return run_config(hydra.compose("config", overrides))[0].id


@pytest.fixture(scope="module")
def record() -> Record:
    """A published record with several defenses, attacks and changed options."""
    found = (read(path.parent) for path in PUBLISHED)
    return next(r for r in found if "mulaw" in r.config["defense"] and len(r.config["defense"]) > 1)


def changed(record: Record, **config: Any) -> Record:
    """The record with another configuration, and the id of that."""
    whole = {**record.config, **config}
    return record.model_copy(update={"config": whole, "id": run_id(whole)})


def words(record: Record) -> list[str]:
    """The overrides of its command."""
    found = again(record)
    assert found.command is not None, found.reason
    program, verb, *overrides = shlex.split(found.command)
    assert (program, verb) == ("robench", "run")
    return overrides


@pytest.mark.slow
def test_every_published_record_has_a_command_or_says_what_it_needs() -> None:
    without = {}
    for path in PUBLISHED:
        record = read(path.parent)
        found = again(record)
        if found.command is None:
            without[record.id] = found.reason
    assert {i for i, reason in without.items() if "options have changed" in reason} == OLDER
    others = [reason for i, reason in without.items() if i not in OLDER]
    assert all("first: pip install robench-example==0.1.0" in reason for reason in others)
    assert len(without) < 0.05 * len(PUBLISHED)


def test_hydra_composes_the_command_to_the_records_id(record: Record) -> None:
    """As the user's own `robench run` would, without what is kept between records here."""
    assert composed(words(record)) == todays_id(record)
    for path in PUBLISHED[::30]:
        one = read(path.parent)
        if one.id not in OLDER and again(one).command:
            assert composed(words(one)) == todays_id(one)


@pytest.mark.parametrize("protocol", ["digits_linf", "mnist_linf"])
def test_choices_that_speak_of_one_group_are_composed_together(protocol: str) -> None:
    """Both the protocol and integer randomised smoothing set the threat; what Hydra composes of all
    choices at once is the measure."""
    overrides = [f"protocol={protocol}", "compressor=ptq_int8", "defense=intrs", "audit=quick"]
    plain = _assembled([OverridesParser.create().parse_override(one) for one in overrides])
    assert plain is not None
    assert plain_config(plain).id == composed(overrides)


COMPONENTS = [f"{kind}={name}" for kind in RUN_KINDS for name in sorted(registry().choices[kind])]
SOME = ["compressor=ptq_int8", "metric=[size,accuracy]", "defense=[none,gaussian_training]"]


@pytest.mark.parametrize(
    "choice", [*SOME, *(pytest.param(one, marks=pytest.mark.slow) for one in COMPONENTS)]
)
def test_what_components_compose_is_told_without_hydra(choice: str) -> None:
    try:
        found = _components((choice,))
        told = plain_config(found).id if found else None
    except ConfigError:
        told = "refused"
    try:
        assert told in (None, composed([choice]))
    except ConfigError:
        assert told == "refused"


def test_presets_and_what_brings_others_are_left_to_hydra() -> None:
    for choices in (("protocol=digits_linf",), ("defense=intrs",), ("runtime=litert",), ()):
        assert _components(choices) is None


def test_a_known_command_is_found_without_composing_it(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").mkdir()
    other = changed(record, images=37)
    commands = []
    for one in (record, record, other, other):
        _found.cache_clear()
        commands.append(again(one))
        if len(commands) % 2 == 0:
            monkeypatch.undo()
            monkeypatch.setenv("ROBENCH_CACHE", str(tmp_path / "cache"))
        else:
            monkeypatch.setattr("robench.run.command.words_of", None)
    assert commands[0] == commands[1] != commands[2] == commands[3]
    assert commands[0].command


def test_commands_of_one_file_of_the_cache_do_not_push_each_other_out(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").mkdir()
    monkeypatch.setattr("robench.run.again.SLOTS", 0)
    _found.cache_clear()
    every = [changed(record, images=images) for images in (37, 38, 39)]
    commands = [again(one) for one in every]
    assert len(list((tmp_path / "cache").glob("*/commands-*"))) == 1
    _found.cache_clear()
    monkeypatch.setattr("robench.run.command.words_of", None)
    assert [again(one) for one in every] == commands
    # What is full forgets the oldest.
    monkeypatch.setattr("robench.run.command.words_of", lambda *_: "asked again")
    monkeypatch.setattr("robench.run.again.LATEST", 3)
    again(changed(record, images=40))
    _found.cache_clear()
    assert [again(one).reason for one in reversed(every)] == ["", "", "asked again"]


def test_who_looks_at_a_record_gets_no_cache(record: Record, tmp_path: Path) -> None:
    _found.cache_clear()
    assert again(record).command
    assert not (tmp_path / "cache").exists()


def todays_id(record: Record) -> str:
    """The record's id, but for options that are retired."""
    return run_id(current(record.config))


def test_a_command_needs_no_toolchain(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page says the same wherever it is built; who pastes the command is told what to install."""
    made = read(Path("leaderboard/records/31537abb7b3ce953"))
    assert "pt2e_int8" in made.config["compressor"]
    monkeypatch.setattr("robench.run.plan.find_spec", lambda name: None)
    for asked in (words_of, uncached):
        found = asked(json.dumps(made.config), json.dumps(made.provenance.components))
        assert "compressor=pt2e_int8" in found
        assert composed(list(found)) == made.id


def uncached(asked: str, origins: str) -> list[str] | str:
    """As in another process."""
    for kept in (_alone, _usual, _base):
        kept.cache_clear()
    return words_of(asked, origins)


def test_a_record_of_other_options_says_so() -> None:
    record = read(Path("leaderboard/records") / min(OLDER))
    assert again(record).reason == "its options have changed since, and so has the id they give"


def test_what_was_typed_is_never_printed(record: Record) -> None:
    forged = record.model_copy(update={"overrides": ("results=/home", "model=python")})
    assert again(forged) == again(record)


def test_the_command_trains_with_the_threads_that_the_network_was_trained_with(
    record: Record,
) -> None:
    """They decide its bits; the run itself may have found it in a cache."""
    made = record.provenance
    weights = MadeOn(torch="2", device="cpu", threads=made.threads + 2, machine=made.machine)
    cached = made.model_copy(update={"weights": weights})
    assert words(record)[-1] == f"threads={made.threads}"
    assert words(record.model_copy(update={"provenance": cached}))[-1] == "threads=3"


def test_options_of_every_form_are_quoted(record: Record) -> None:
    attack = {
        **record.config["attack"],
        "cw": {**plain("attack", "cw"), "eps": [0.5, "8/255"]},
    }
    access = {"transfer": {"source": {"seed": 5, "model": {"small_cnn": {}}, "defense": "none"}}}
    model = {"torchvision": {**plain("model", "torchvision"), "weights": "it's a 'name', $x"}}
    for part in ({"attack": attack}, {"access": access}, {"model": model}):
        one = changed(record, **part)
        assert composed(words(one)) == todays_id(one)


def plain(kind: str, name: str) -> dict[str, Any]:
    from robench.base.hashing import plain_options
    from robench.plugin.registry import registry

    return plain_options(registry().get(kind, name).make())


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ({"model": {"python": {"spec": "os:system", "pretrained": False}}}, "model=python"),
        ({"model": {"given": {"hash": "00"}}}, "handed over in Python"),
        ({"model": {"small_cnn": {"width": 3}}}, "expected an option of model.small_cnn"),
        ({"model": {"small_cnn; rm -rf /": {}}}, "expected model to be one of"),
        ({"model": {"checkpoint": {"path": "${oc.env:HOME}"}}}, "references such as"),
        ({"model": {"checkpoint": {"path": "${results}"}}}, ""),
        ({"model": {"torchvision": {"name": "a", "weights": "\x1b]52;c;eA==\x07"}}}, ""),
        ({"train": {"epochs": "many"}}, "expected train.epochs"),
        ({"train": 3}, "expected a configuration with train"),
        ({"access": {"elsewhere": {}}}, "expected access among"),
        ({"audit": {"level": "off", "images": None, "checks": 5}}, "expected a name or a list"),
        ({"seed": "1; ls"}, "expected config.seed to be a whole number"),
        ({"images": [1]}, "expected config.images"),
        ({"access": {"transfer": {"source": {"model": DEEP}}}}, ""),
        ({"threat": {"norm": None, "eps": {"a": 1}, "grid": True}}, "expected eps"),
    ],
)
def test_a_hostile_configuration_gets_a_reason(
    record: Record, part: dict[str, Any], reason: str
) -> None:
    found = again(changed(record, **part))
    assert found.command is None
    assert reason in found.reason
    assert "\n" not in found.reason
    assert "\x1b" not in found.reason


def test_another_id_gets_no_command(record: Record) -> None:
    assert again(record.model_copy(update={"id": "0" * 16})).command is None


def foreign(record: Record, origin: str) -> Record:
    about = record.provenance.model_copy(
        update={"components": {**record.provenance.components, "attack.fb_deepfool": origin}}
    )
    one = changed(record, attack={"fb_deepfool": {}})
    return one.model_copy(update={"provenance": about})


@pytest.mark.parametrize(
    ("origin", "needs"),
    [
        (
            "robench-fb 0.1.0 / 1",
            "fb_deepfool must be installed first: pip install robench-fb==0.1.0",
        ),
        ("robench-fb 0.1.0; rm -rf / 1", "expected attack to be one of"),
        ("--index-url=http://x 1.0 / 1", "expected attack to be one of"),
        ("$(ls) 1 / 1", "expected attack to be one of"),
        ("", "expected attack to be one of"),
        ("numpy 1.0 / 1", "is of numpy 1.0, which is installed as"),
    ],
)
def test_what_is_not_installed_is_named_when_its_name_is_one(
    record: Record, origin: str, needs: str
) -> None:
    found = again(foreign(record, origin))
    assert found.command is None
    assert needs in found.reason


def test_rebuilding_names_the_distribution_that_is_missing(record: Record) -> None:
    one = foreign(record, "robench-fb 0.1.0 / 1")
    with pytest.raises(
        ConfigError, match=r"attack fb_deepfool is of robench-fb 0\.1\.0, which is not installed"
    ):
        from_plain(one.config, one.provenance.components)
