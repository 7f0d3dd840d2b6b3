"""The built-in defenses."""

from __future__ import annotations

from robench import Register, hookimpl
from robench_defenses.adversarial import AdversarialTraining
from robench_defenses.feedback import FeedbackLearning
from robench_defenses.gaussian import GaussianTraining
from robench_defenses.mulaw import MuLaw
from robench_defenses.none import NoDefense
from robench_defenses.smoothing import FloatRS, IntRS


@hookimpl
def robench_register(register: Register) -> None:
    """Register the defenses."""
    register("defense", "none", NoDefense)
    register("defense", "gaussian_training", GaussianTraining)
    register("defense", "adversarial_training", AdversarialTraining)
    register("defense", "feedback_learning", FeedbackLearning)
    register("defense", "mulaw", MuLaw)
    register("defense", "intrs", IntRS)
    register("defense", "float_rs", FloatRS)
