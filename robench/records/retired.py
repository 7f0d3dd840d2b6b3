"""Options that components had once: records name them, nothing reads them any more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RETIRED: Mapping[tuple[str, str], tuple[str, ...]] = {
    # The radii are the metric's, and every audit attacks certificates.
    ("certifier", "sequential"): ("radii",),
    ("certifier", "adaptive"): ("radii",),
    ("metric", "certified"): ("attack", "attack_steps"),
}
"""Kind and choice -> its retired options."""


def current(config: Mapping[str, Any]) -> dict[str, Any]:
    """A record's configuration without retired options: what makes its numbers anew, today.

    Whatever is no configuration comes back as it is.
    """
    plain = dict(config)
    for (kind, choice), retired in RETIRED.items():
        chosen = plain.get(kind)
        options = chosen.get(choice) if isinstance(chosen, Mapping) else None
        if isinstance(chosen, Mapping) and isinstance(options, Mapping):
            kept = {name: value for name, value in options.items() if name not in retired}
            plain[kind] = {**chosen, choice: kept}
    return plain
