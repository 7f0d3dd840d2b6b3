"""`robench plugins`: what is installed, with its options."""

from __future__ import annotations

import json
import re

import pytest

from robench.plugin.components import KINDS
from robench.plugin.registry import registry
from tests.cli.command import command


def test_every_choice_of_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = command(["plugins"], capsys)
    assert status == 0
    heads = [line.partition(":")[0] for line in out.splitlines() if line[0] != " "]
    assert heads == [*KINDS, "protocol"]
    assert re.search(r"fgsm_weak .* with eps=weak  \[", out), "what a preset sets otherwise"
    assert all(f"\n  {name} " in out for c in registry().choices.values() for name in c)


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        ("attack", "attack.pgd.steps=40"),
        ("train", "train.epochs="),
        ("threat", "threat.norm="),
    ],
)
def test_a_kind_with_its_options(
    kind: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = command(["plugins", kind], capsys)
    assert status == 0
    assert option in out


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = command(["plugins", "attack", "--json"], capsys)
    assert status == 0
    assert json.loads(out)["attack"]["pgd"]["options"]["steps"]["default"] == 40
    assert set(json.loads(command(["plugins", "--json"], capsys)[1])) >= {*KINDS, "protocol"}


def test_an_unknown_kind_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = command(["plugins", "atack"], capsys)
    assert status == 2
    assert "did you mean 'attack'?" in err
