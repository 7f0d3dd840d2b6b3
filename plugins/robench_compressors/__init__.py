"""Built-in compressors."""

from __future__ import annotations

from robench import Register, hookimpl


@hookimpl
def robench_register(register: Register) -> None:
    """Register the built-in compressors."""
    from robench_compressors.int8 import PTQInt8, QATInt8
    from robench_compressors.none import NoCompression
    from robench_compressors.ptq import PTQ

    register("compressor", "none", NoCompression)
    register("compressor", "ptq", PTQ)
    register("compressor", "ptq_int8", PTQInt8)
    register("compressor", "qat_int8", QATInt8)
