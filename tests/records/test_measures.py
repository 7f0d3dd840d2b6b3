"""Values beside the accuracies: tables that fit a terminal, and never more than is there."""

from __future__ import annotations

import itertools

import pytest

from robench.base.text import visible
from robench.core.record import Value
from robench.records.measures import measures

ATTACKS = ("fgsm", "pgd", "strongest")
SIZES = (2 / 255, 8 / 255)


def values(metric: str = "twins_gap", unit: str = "share") -> list[Value]:
    """One on clean images, and one for each attack, access and eps."""
    axes = [
        {"attack": attack, "access": access, "norm": "linf", "eps": eps}
        for attack, access, eps in itertools.product(ATTACKS, ("white_box", "parent"), SIZES)
    ]
    every = [{}, *axes]
    return [
        Value(metric=metric, value=0.01 * at - 0.05, low=-0.2, high=0.2, unit=unit, axes=one)
        for at, one in enumerate(every)
    ]


def texts(given: list[Value], width: int | None) -> list[str]:
    return [line.text for line in measures(given, width)]


@pytest.mark.parametrize("width", [40, 60, 80])
def test_values_under_attack_are_a_table_that_fits(width: int) -> None:
    lines = texts(values(), width)
    assert max(map(len, lines)) <= width
    assert lines[0].split()[:2] == ["twins_gap,", "%"]
    assert sum(line.startswith("pgd (parent) ") for line in lines) >= 1
    assert lines[-1] == "  of clean images \N{MINUS SIGN}5.0±25.0"
    said = " ".join(lines)
    for at, value in enumerate(values()[1:], 1):
        assert f"{abs(100 * (value.value or 0)):.1f}±" in said, at


def test_a_few_values_and_other_axes_are_a_line() -> None:
    lines = texts([*values()[:2], *values("parent_difference")[3:4]], None)
    assert lines == [
        "twins_gap: \N{MINUS SIGN}5.0±25.0 % (clean); \N{MINUS SIGN}4.0±24.0 % (fgsm, linf 2/255)",
        "parent_difference: \N{MINUS SIGN}2.0±22.0 % (fgsm (parent), linf 2/255)",
    ]
    layers = [Value(metric="norms", value=1.0, axes={"layer": str(at)}) for at in range(5)]
    assert texts(layers, None)[0].startswith("norms: by layer: 0 1; 1 1;")


def test_what_a_stranger_wrote_moves_no_terminal() -> None:
    for hostile in ("\x1b[2J", "a\rb", "a\u202eb"):
        lines = texts(values(metric=hostile, unit=hostile), 80)
        assert not any(hostile in line for line in lines)
        assert any(visible(hostile).split()[0][:6] in line for line in lines)
