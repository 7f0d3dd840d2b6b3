"""Why claims of Song et al. (2021) are not reproduced, or cannot be told: what the records show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from robench.studies.claims import Claim

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
    "song2021_cifar10_cpu": {
        "S1": (
            "F.L. falls as well. Its retraining does not see the quantization, and the plain "
            "weights it starts from keep 47.4 of 85.0 at 3 bits. The one scale a layer does it: "
            "with one a channel Orig. keeps 73.2, Adv. 61.6 of 66.2 and F.L. 70.4 of 75.0."
        ),
        "S2": (
            "the gain is there, and costs 10 points clean: so small a network, trained for 12 "
            "epochs, does not fit images at 8/255 as well as the clean ones (Adv. pays 19). A "
            "tenth of the learning rate in the rounds costs about 8 and leaves 7 under PGD (a "
            "trial on 1,000 and 200 images)."
        ),
        "S3": (
            "mapping adds nothing and takes 1 to 5 points, of clean images too. It doubles the "
            "margins of the logits (F.L. 1.4 -> 2.5 in the median) and no gradient becomes zero, "
            "so nothing hides the boundary. Three mapped layers do raise PGD (8.6 -> 16.2), and "
            "lower PGD on the margin (9.4 -> 7.0): see S5."
        ),
        "S4": (
            "all differences but one lie within 5 points, near those of clean images, and the one "
            "is -5.2; 500 images do not tell them from 5."
        ),
        "S5": (
            "the signature needs logits that saturate float32's softmax. Our plain network's "
            "median margin is 4.2, mapped 8.1, at most 32: of 500 images none has a zero gradient, "
            "and PGD leaves 0.0 as before. With the last three layers mapped it begins: PGD leaves "
            "13.8, MIM 17.2 and FGSM(s) 24.4 of 65.6, while CW-L2 leaves 0.6 and PGD on the margin "
            "0.0."
        ),
        "S7": (
            "batch norm after a layer leaves its scale free, so that norms of differently trained "
            "networks do not compare. Relative to ||W||_2, that of Adv. is the largest in 7 of the "
            "9 layers (conv4: 0.69, Orig. 0.47, F.L. 0.50)."
        ),
        "S8": "see S3: mapping takes 1 to 5 points in every column of the quantised F.L. model.",
    },
    "song2021_mu_cpu": {
        "S6": (
            "it falls: mapping hides no boundary of this network (see S5 of song2021_cifar10_cpu) "
            "and costs accuracy, so that Adv. goes from 38.4 to 31.0 under PGD as mu goes from 0 "
            "to 1024. Only FGSM(s) on Orig. rises, where PGD leaves 0.0 at every mu."
        ),
    },
    "song2021_bits_cifar10_cpu": {
        "bits, clean": (
            "all three lose 3 to 4 points at 4 bits, and 500 images do not tell them from 5."
        ),
        "bits, attacked": "F.L. has 8.6 under PGD to lose; Adv. goes from 38.4 to 34.0.",
    },
    "song2021_dw_cifar10_cpu": {
        "S7": (
            "batch norm after a layer leaves its scale free; relative to ||W||_2, that of Adv. is "
            "the largest in 7 of the 9 layers."
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
