"""Why claims of Song et al. (2021) are not reproduced, or cannot be told: what the records show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from robench.study.claims import Claim

ON_CIFAR10 = "the paper claims it of CIFAR-10; see the study there."
REASONS: dict[str, dict[str, str]] = {
    "song2021_mnist": {
        "S3": (
            "our F.L. stands iterated attacks (PGD 64.7, the paper's 39.9), and mapping its last "
            "layer afterwards undoes that (PGD 30.3, at 3 bits 6.8 -> 1.6). Only FGSM(s) at 3 bits "
            "rises, as it does for Orig. (2.8 -> 23.6), of which PGD leaves 0.4: single steps miss "
            "on stretched logits, and the audit calls those rows weak attacks."
        ),
        "S4": (
            "only the collapsed Adv. (Q) changes by more than 5 points, as its clean accuracy does "
            "(47.0 -> 53.9)."
        ),
        "S5": ON_CIFAR10,
        "S6": ON_CIFAR10,
        "S7": "it is in conv2 alone (2.87, Orig. 0.81, F.L. 1.03); in the other layers F.L.'s is.",
        "S8": (
            "see S3: mapping takes 5 to 8 points under CW-L2, PGD, BIM and MIM, and adds 9 under "
            "FGSM(s) and at most 2 elsewhere."
        ),
    },
    "song2021_bits": {
        "bits, attacked": (
            "F.L. loses 11 points; Adv. loses 6, but not surely more than the 5 asked."
        ),
    },
    "song2021_dw": {
        "S7": (
            "it is in conv2 alone, where its norms are 1.4 to 6 times those of the others; conv1 "
            "and fc1 are smaller or alike."
        ),
    },
}
"""By study, then by claim. The numbers are those of the records under `leaderboard/`."""


def explained(study: str, claims: Sequence[Claim]) -> list[Claim]:
    """The claims with the reasons that were found for them."""
    found = REASONS.get(study, {})
    return [replace(claim, reason=found.get(claim.name, "")) for claim in claims]
