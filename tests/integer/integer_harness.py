"""A command line around generated C that exposes logits and int16 images, for other compilers."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

HARNESS = r"""
int main(int argc, char **argv) {
    const long n = atol(argv[1]);
    const int wide = atoi(argv[2]), threads = atoi(argv[3]);
    uint8_t *data = malloc(n * PIXELS * (wide ? 2 : 1));
    int32_t *labels = malloc(n * 4), *logits = malloc(n * CLASSES * 4);
    if (fread(data, (wide ? 2 : 1) * PIXELS, n, stdin) != (size_t)n || argc != 4) return 3;
    int isa = robench_isa(getenv("ROBENCH_ISA"));
    const int16_t *words = wide ? (int16_t *)data : NULL;
    if (robench_run(isa, wide ? NULL : data, words, n, threads, labels, logits)) return 4;
    fwrite(logits, 4, n * CLASSES, stdout);
    free(data), free(labels), free(logits);
    return 0;
}
"""


def run(binary: Path, isa: str, *arguments: object, stdin: bytes, machine: str = "") -> bytes:
    """Standard output of a compiled program, run by the emulator `machine` if given."""
    environment = os.environ | {"ROBENCH_ISA": isa}
    command = [*machine.split(), str(binary), *map(str, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr.decode()[:2000]
    return done.stdout
