"""Built-in compressors."""

from __future__ import annotations

from robench import hookimpl
from robench.hookspecs import Register


@hookimpl
def robench_register(register: Register) -> None:
    """Register the built-in compressors."""
    from robench_compressors.none import NoCompression

    register("compressor", "none", NoCompression)
