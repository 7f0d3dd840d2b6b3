"""The built-in certifiers: thin components around the mathematics of `robench.smoothing`."""

from __future__ import annotations

from robench import Register, hookimpl
from robench_certifiers.certifiers import Adaptive, Cohen, Sequential


@hookimpl
def robench_register(register: Register) -> None:
    """Register the certifiers."""
    register("certifier", "cohen", Cohen)
    register("certifier", "sequential", Sequential)
    register("certifier", "adaptive", Adaptive)
