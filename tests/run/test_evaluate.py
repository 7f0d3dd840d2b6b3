"""`robench.evaluate` refuses what it cannot take: one line, before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

import robench
from robench.base.errors import ConfigError, UserError
from robench.run.config import Places
from tests.conftest import tiny_net

PGD = robench.registry().get("attack", "pgd").cls
ACCURACY = robench.registry().get("metric", "accuracy").make()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"seed": "x"}, "expected seed to be a whole number from 0 to 9007199254740991, got 'x'"),
        ({"seed": -1}, "expected seed to be a whole number from 0 to 9007199254740991, got -1"),
        ({"images": "12"}, "expected images to be a whole number >= 1, got '12'"),
        ({"images": 2.5}, "expected images to be a whole number >= 1, got 2.5"),
        ({"threat": "linf"}, "expected threat to be a robench.Threat, got 'linf'; make one"),
        ({"threat": ""}, "expected threat to be a robench.Threat, got ''"),
        ({"threat": robench.Threat("linf", 8)}, "did you mean 8/255?"),
        ({"threat": robench.Threat("linf", 0.1), "eps": 0.1}, "expected threat or eps, got both"),
        ({"eps": "8/0"}, "expected eps to be a number"),
        ({"atack": "pgd"}, "expected an option of evaluate, got 'atack'; did you mean 'attack'?"),
        ({"attack": {"pgd": {"stpes": 3}}}, "of attack.pgd, got 'stpes'; did you mean 'steps'?"),
        ({"attack": "pdg"}, "did you mean 'pgd'?"),
        ({"model": "small_cnn", "fit": True}, "expected an own network with fit=True"),
        ({"defense": "adversarial_training"}, "expected fit=True with defense=adversarial_train"),
        ({"defense": "intrs"}, "or defense={'intrs': {'train_sigma': 0}} smooths it as it is"),
        ({"compressor": "qat_int8"}, "or use a post-training one such as ptq_int8"),
        ({"train": 3}, "expected train to be a robench.TrainConfig, got 3; make one"),
        ({"places": "results"}, "expected places to be a robench.Places, got 'results'; make one"),
        ({"audit": ["quick"]}, "expected audit to be off, quick or full"),
        ({"access": 3}, "expected access among white_box, transfer, got 3"),
        ({"access": [["white_box"]]}, "expected access among white_box, transfer, got a value"),
        (
            {"attack": 3},
            "expected attack to be a choice's name or a robench.Attack, got 3; "
            "`robench plugins attack` lists the choices",
        ),
        ({"attack": [3]}, "expected attack to be a choice's name or a robench.Attack, got 3;"),
        ({"attack": PGD}, "got the class PGD; make one: PGD()"),
        ({"attack": ACCURACY}, "robench.Attack, got a value of the class Accuracy;"),
        ({"attack": {"mine": 3}}, "robench.Attack, got 3;"),
        ({"attack": {3: PGD()}}, "expected a mapping of names to attack, got the name 3"),
        ({"model": nn.ReLU}, "got the class ReLU; make one: ReLU()"),
        (
            {"model": 3},
            "expected model to be an nn.Module, a file, a choice's name or a robench.Model",
        ),
        ({"model": [tiny_net(), tiny_net()]}, "expected one model, got a list of 2; evaluate each"),
        ({"model": lambda images: images}, "or let the forward of an nn.Module call it"),
        (
            {"model": tiny_net().state_dict()},
            "load them into one: network.load_state_dict(weights)",
        ),
        ({"data": None}, 'expected data, got None; leave data out for "digits", or give your own'),
        ({"data": 3}, "expected dataset to be a robench.Data, a choice's name or a robench.D"),
    ],
)
def test_what_it_cannot_take_is_one_line(
    given: dict[str, Any], words: str, places: Places, tiny_data: robench.Data
) -> None:
    usual = {"model": tiny_net(), "data": tiny_data, "places": places}
    with pytest.raises(ConfigError) as refused:
        robench.evaluate(**{**usual, **given})
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not places.cache.exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"device": "banana"}, "expected device"),
        ({"threads": 0}, "expected threads from 1"),
        ({"threads": "two"}, "expected threads to be a whole number"),
        ({"results": 3}, "expected results to be a path"),
        ({"results": "~nobody-of-this-name/x"}, "expected ~ to name a home folder"),
    ],
)
def test_places_are_checked_when_made(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        Places(**given)


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/at/home")
    monkeypatch.setenv("ROBENCH_CACHE", "~/kept")
    assert Places(results=Path("~/r"), data_root=Path("~")) == Places(
        results=Path("/at/home/r"), data_root=Path("/at/home")
    )
    assert Places.from_environment().cache == Path("/at/home/kept")


def test_the_mapping_and_the_instance_work(places: Places, tiny_data: robench.Data) -> None:
    given: dict[str, Any] = {"audit": "off", "places": places, "images": 12}
    record = robench.evaluate(tiny_net(), tiny_data, attack={"mine": PGD(steps=1)}, **given)
    assert [row.attack for row in record.rows] == ["mine"]
    record = robench.evaluate(tiny_net(), tiny_data, attack=PGD(steps=1), **given)
    assert [row.attack for row in record.rows] == ["pgd"]
    with pytest.raises(ConfigError, match="expected images to be a whole number"):
        robench.evaluate(tiny_net(), tiny_data, **{**given, "images": np.int64(12)})
