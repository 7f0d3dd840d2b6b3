"""No defense: plain training."""

from __future__ import annotations

from dataclasses import dataclass

from robench import Defense


@dataclass(frozen=True, kw_only=True)
class NoDefense(Defense):
    """Plain training with cross-entropy; stands alone in a list of defenses."""
