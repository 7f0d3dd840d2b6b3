"""What a finding says follows from its numbers, and from nothing that a record's author likes."""

from __future__ import annotations

from string import Formatter

import pytest

from robench.core.record import Finding
from robench.core.sentences import (
    ACQUITTED,
    NOTHING,
    REWORDED,
    SATURATES,
    SENTENCES,
    UNDECLARED,
    follows,
    sentence,
    spoken,
)

ROWS, DEFENSES = ["pgd (white_box)"], ["jpeg"]
FREE = {
    "number": "0.25",
    "second": "2",
    "part": "31%",
    "undeclared": UNDECLARED,
    "whether": SATURATES[True],
    "attack": "pgd",
    "row": "pgd (white_box)",
    "defense": "jpeg",
    "search": "adaptive jpeg",
    "source": "float parent",
    "forms": "the twin, the smoother twin",
}


def said(check: str, value: float | None, n: int, **other: str) -> Finding:
    words = sentence(check, value, n, **{**FREE, **other})
    return Finding(check=check, value=value, n=n, verdict="pass", sentence=words)


def holds(finding: Finding) -> bool:
    return follows(finding, ROWS, DEFENSES)


@pytest.mark.parametrize("check", [*SENTENCES, "planted_pgd"])
def test_every_sentence_follows_from_its_own_numbers_alone(check: str) -> None:
    finding = said(check, -0.13, 100)
    assert holds(finding)
    assert holds(said(check, None, 0))
    assert not holds(finding.model_copy(update={"sentence": finding.sentence + ", says NIST"}))
    fields = {field for _, field, _, _ in Formatter().parse(SENTENCES.get(check, ("{n}",))[0])}
    if fields & {"share", "count", "points", "against"}:
        assert not holds(finding.model_copy(update={"value": 0.5}))


@pytest.mark.parametrize("check", NOTHING)
def test_what_met_no_image_says_so(check: str) -> None:
    assert sentence(check, None, 0) == NOTHING[check]


def test_a_loss_is_less_not_negatively_more() -> None:
    assert " takes 13.0 points less accuracy " in said("margin_loss", -0.13, 100).sentence
    assert " takes 13.0 points more accuracy " in said("margin_loss", 0.13, 100).sentence


def test_what_was_acquitted_says_so_and_follows() -> None:
    finding = said("together", 0.4, 50)
    assert holds(finding.model_copy(update={"sentence": finding.sentence + ACQUITTED}))


def test_the_wording_of_older_records_still_follows() -> None:
    old = "maximising the margin of the logits takes -13.0 points more accuracy than cross-entropy"
    assert holds(said("margin_loss", -0.13, 100).model_copy(update={"sentence": old}))


@pytest.mark.parametrize(
    "other", [{"row": "nobody's (white_box)"}, {"search": "everything"}, {"search": "adaptive x"}]
)
def test_no_sentence_names_what_the_run_had_not(other: dict[str, str]) -> None:
    assert not holds(said("beats_best_row", 0.1, 100, **other))


def test_a_plugins_sentence_is_shown_as_its_own() -> None:
    finding = Finding(check="proof", value=1.0, n=1, verdict="pass", sentence="It holds.")
    assert spoken(finding) == "proof, a plugin's check: It holds."
    assert spoken(said("noise", 0.1, 10)).startswith("on 10% of 10 images random noise")


def test_a_sentence_is_judged_whatever_was_judged_before() -> None:
    """-0.0 and 0.0 are equal, and not written alike."""
    for value in (0.0, -0.0, 0.0):
        one = said("random_prediction", value, 100)
        other = one.model_copy(update={"value": -value})
        assert follows(one, ROWS, DEFENSES)
        assert not follows(other, ROWS, DEFENSES)


@pytest.mark.parametrize("check", sorted(REWORDED))
def test_a_share_of_all_images_is_not_said_to_be_one_of_those_that_held(check: str) -> None:
    """19 of 360, of which an attack leaves 147 right, are 5 % of the 360, not of the 147."""
    finding = said(check, 19 / 360, 360)
    assert finding.sentence.startswith("on 5% of 360 images ")
    for words in SENTENCES[check][1:]:
        text = words.format(share="5%", n=360, **FREE)
        stored = finding.model_copy(update={"sentence": text + ACQUITTED})
        assert "360 images that" in text
        assert holds(stored)
        assert spoken(stored) == finding.sentence + ACQUITTED
        other = stored.model_copy(update={"sentence": text.replace("images that", "images which")})
        assert spoken(other) == other.sentence
