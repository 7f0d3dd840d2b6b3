"""The fuzzers with a count and a seed of your own: python -m tests.fuzz reader 100000 7."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch

from tests.fuzz.files import fuzz_files
from tests.fuzz.programs import fuzz_engine, fuzz_reader


def main(kind: str, count: str, seed: str) -> int:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        if kind == "reader":
            tally = fuzz_reader(int(seed), count=int(count))
        else:
            fuzz = {"engine": fuzz_engine, "files": fuzz_files}[kind]
            tally = fuzz(int(seed), Path(folder), count=int(count))
    print(tally)
    if tally.failures:
        kept = Path(tempfile.mkdtemp())
        for place, (_, content) in enumerate(tally.failures):
            (kept / f"failure-{place}").write_bytes(content)
        print(f"what failed is kept in {kept}")
    return bool(tally.failures)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
