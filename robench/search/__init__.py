"""Searches for adversarial examples on a twin, shared by attacks, training and the audit.

Images are float32 in [0,1], shape (N, C, H, W), on the twin's device; labels int64 (N,); random
numbers come from a CPU `torch.Generator`. They know nothing of plugins or deployed models.
"""

from robench.search.apgd import ApgdSearch
from robench.search.ascent import Callback, GradientSearch, StepInfo
from robench.search.autoattack import AutoAttackSearch
from robench.search.carlini import CarliniSearch
from robench.search.climb import Attacked, Start, climb
from robench.search.fab import FabSearch
from robench.search.gradient import LossGradient, loss_gradient, searching, unit
from robench.search.legal import Legal
from robench.search.losses import (
    LOSSES,
    Loss,
    TargetedLoss,
    cross_entropy,
    dlr,
    margin,
    probability_margin,
)
from robench.search.rays import RaySearch
from robench.search.secant import Secants, secant, secants
from robench.search.square import Scores, SquareSearch
from robench.search.strongest import Budget, StrongestSearch
from robench.search.target import Target
from robench.search.trace import Trace

__all__ = [
    "LOSSES",
    "ApgdSearch",
    "Attacked",
    "AutoAttackSearch",
    "Budget",
    "Callback",
    "CarliniSearch",
    "FabSearch",
    "GradientSearch",
    "Legal",
    "Loss",
    "LossGradient",
    "RaySearch",
    "Scores",
    "Secants",
    "SquareSearch",
    "Start",
    "StepInfo",
    "StrongestSearch",
    "Target",
    "TargetedLoss",
    "Trace",
    "climb",
    "cross_entropy",
    "dlr",
    "loss_gradient",
    "margin",
    "probability_margin",
    "searching",
    "secant",
    "secants",
    "unit",
]
