"""Built-in compressors."""

from __future__ import annotations

from robench import hookimpl
from robench.hookspecs import Register


@hookimpl
def robench_register(register: Register) -> None:
    """Register the built-in compressors."""
    from robench_compressors.none import NoCompression
    from robench_compressors.ptq import PTQ

    register("compressor", "none", NoCompression)
    register("compressor", "ptq", PTQ)
