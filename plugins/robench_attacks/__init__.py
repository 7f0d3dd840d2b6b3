"""The built-in attacks, by robench's searches or by the Adversarial Robustness Toolbox (ART).

`robench_attacks.art_attacks` has the searches as subclasses of ART's attacks.
"""

from __future__ import annotations

from robench import Register, hookimpl
from robench_attacks.autoattack import APGD, FAB, ArtAutoAttack, AutoAttack
from robench_attacks.carlini import CW
from robench_attacks.gradient import BIM, FGSM, MIM, PGD
from robench_attacks.noise import NormalNoise, UniformNoise
from robench_attacks.square import Square
from robench_attacks.strongest import Strongest


@hookimpl
def robench_register(register: Register) -> None:
    """Register the attacks, the three strengths of FGSM, and PGD on the margin of the logits."""
    register("attack", "fgsm", FGSM)
    for level in ("weak", "medium", "strong"):
        register("attack", f"fgsm_{level}", FGSM(eps=level))
    register("attack", "pgd", PGD)
    register("attack", "pgd_margin", PGD(loss="margin"))
    register("attack", "bim", BIM)
    register("attack", "mim", MIM)
    register("attack", "cw", CW)
    register("attack", "normal_noise", NormalNoise)
    register("attack", "uniform_noise", UniformNoise)
    register("attack", "square", Square)
    register("attack", "apgd", APGD)
    register("attack", "fab", FAB)
    register("attack", "autoattack", AutoAttack)
    register("attack", "art_autoattack", ArtAutoAttack)
    register("attack", "strongest", Strongest)
