"""What the metrics of smoothed systems share: which images, and whose votes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import robench

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from robench.smoothing import SmoothedDeployed, VoteSource


@dataclass(frozen=True)
class Chosen:
    """Test images by number, with their labels and their votes."""

    numbers: NDArray[np.int64]
    """Numbers in the whole test set: they name the images' noise."""
    pixels: NDArray[np.uint8]
    """Shape (N, C, H, W)."""
    labels: NDArray[np.int64]
    seed: int
    deployed: SmoothedDeployed

    @property
    def source(self) -> VoteSource:
        """The images' votes under certification's noise."""
        return self.deployed.votes(self.pixels, self.seed, self.numbers)


def choose(evidence: robench.Evidence, images: int, every: int | None) -> Chosen:
    """Every n-th of the whole test set or, without `every`, judged images, evenly spaced.

    At most `images`. Raises ConfigError when the system is not smoothed.
    """
    import numpy as np

    from robench.smoothing import SmoothedDeployed

    deployed = evidence.system.deployed
    if not isinstance(deployed, SmoothedDeployed):
        raise robench.ConfigError(
            "expected a smoothed system for this metric; use defense=intrs or float_rs"
        )
    everything = evidence.data.test
    if every is None:
        judged = evidence.numbers
        count = min(images, len(judged))
        numbers = judged[np.arange(count) * len(judged) // count]
    else:
        numbers = np.arange(len(everything))[::every][:images]
    test = everything.take(everything.labels.new_tensor(numbers))
    return Chosen(
        numbers, test.images.numpy(), test.labels.numpy(), evidence.certify_seed, deployed
    )
