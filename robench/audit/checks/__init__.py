"""The audit's own checks, one a module, in the order in which they run.

The usual attack comes first, then what needs no further search, then searches on the images that
still hold, cheap ones first. Checks of plugins follow.
"""

from __future__ import annotations

from robench.audit.checks.agreement import Agreement
from robench.audit.checks.gradients import Gradients
from robench.audit.checks.losses import Losses
from robench.audit.checks.noise import Noise
from robench.audit.checks.progress import Progress
from robench.audit.checks.queries import Queries
from robench.audit.checks.randomness import Randomness
from robench.audit.checks.saturation import Saturation
from robench.audit.checks.smoother import Smoother
from robench.audit.checks.transfer import TransferIn
from robench.audit.checks.unbounded import Unbounded
from robench.components import Check

_QUICK: tuple[Check, ...] = (
    Randomness(),
    Gradients(),
    Saturation(),
    Progress(),
    Agreement(),
    Noise(),
    Unbounded(),
    Losses(),
    Smoother(),
    TransferIn(),
    Queries(),
)

CHECKS: dict[str, tuple[Check, ...]] = {"quick": _QUICK, "full": _QUICK}
"""The checks of each level; `quick` costs at most what PGD with 40 steps does."""
