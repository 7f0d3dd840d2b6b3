"""The version of each cached step: it decides, with its inputs, whether a result still holds.

Raise one when the step's own code gives other numbers; a component has a `version` of its own.
`make check` compares the code behind each version with `versions.lock` and says what changed.
"""

from __future__ import annotations

from collections.abc import Mapping

STEPS: Mapping[str, int] = {
    "data": 2,
    "train": 1,
    "system": 1,
    "program": 1,
    "file": 1,
    "agreement": 3,
    "attack": 3,
    "judge": 1,
    "rejudge": 2,
    "audit": 9,
    "remaining": 5,
    "measure": 1,
    "certificates": 1,
    "record": 1,
}
