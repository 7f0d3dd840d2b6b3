"""The audit's own checks, one a module, in the order in which they run.

The usual attack comes first, then what needs no further search, then searches on the images that
still hold, cheap ones first, and what follows from all of them. Checks of plugins follow.
"""

from __future__ import annotations

from robench.audit.checks.adaptive import Adaptive
from robench.audit.checks.agreement import Agreement
from robench.audit.checks.averages import MeanGradients
from robench.audit.checks.black_box import BlackBox
from robench.audit.checks.cascade import Cascade, OtherForms
from robench.audit.checks.effort import Effort
from robench.audit.checks.exact import Exact
from robench.audit.checks.examples import PlantedExamples
from robench.audit.checks.falling import Falling
from robench.audit.checks.gradients import Gradients
from robench.audit.checks.labels import Labels
from robench.audit.checks.losses import Losses
from robench.audit.checks.memory import Memory
from robench.audit.checks.neighbours import Neighbours
from robench.audit.checks.noise import RandomNoise
from robench.audit.checks.process import FreshProcess
from robench.audit.checks.progress import Progress
from robench.audit.checks.queries import Queries
from robench.audit.checks.randomness import Randomness
from robench.audit.checks.rounding import Rounding
from robench.audit.checks.saturates import Saturates
from robench.audit.checks.saturation import Saturation
from robench.audit.checks.scores import JumpingScores
from robench.audit.checks.secants import GradientSecants
from robench.audit.checks.smoother import Smoother
from robench.audit.checks.stalled import Stalled
from robench.audit.checks.temperature import Temperature
from robench.audit.checks.together import Together
from robench.audit.checks.transfer import TransferIn
from robench.audit.checks.unbounded import Unbounded
from robench.plugin.components import Check

SEARCH_STEPS: dict[str, int] = {"quick": 7, "full": 40}
"""Steps of every gradient search, by level."""

CHECKS: dict[str, tuple[Check, ...]] = {
    "quick": (
        Randomness(),
        Memory(),
        Neighbours(),
        Gradients(),
        Saturation(),
        Progress(),
        Agreement(),
        Saturates(),
        RandomNoise(),
        GradientSecants(),
        MeanGradients(),
        JumpingScores(),
        Stalled(),
        Exact(),
        Losses(),
        Smoother(),
        TransferIn(),
        Unbounded(),
        Cascade(),
        Queries(),
        Labels(),
        FreshProcess(),
        Rounding(),
        Together(),
    ),
    "full": (
        Randomness(),
        Memory(),
        FreshProcess(images=50),
        Neighbours(),
        Gradients(),
        Saturation(),
        Progress(),
        Agreement(),
        Saturates(),
        RandomNoise(),
        GradientSecants(images=(50,)),
        MeanGradients(images=20),
        JumpingScores(images=(50,)),
        Stalled(),
        Unbounded(images=50),
        Falling(),
        PlantedExamples(),
        Losses(losses=("margin", "dlr")),
        Temperature(),
        Effort(),
        Smoother(),
        TransferIn(),
        Adaptive(),
        BlackBox(),
        Exact(),
        Cascade(),
        OtherForms(),
        Labels(queries=125),
        Rounding(),
        Together(),
    ),
}
"""The checks of each level; `quick` costs about what PGD with 40 steps does, or less."""
