"""Damaged files end in an answer: opened, or refused in one line; no process dies of one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FILES = Path(__file__).parents[2] / "fixtures/files"
OPEN = """
import random, sys
from pathlib import Path
from robench.base.errors import UserError
from robench.shipped import open_system

source, copy = Path(sys.argv[1]), Path(sys.argv[2])
whole, rng = source.read_bytes(), random.Random(0)

def damaged() -> bytes:
    content, where = bytearray(whole), rng.randrange(len(whole) - 4)
    match rng.randrange(4):
        case 0:
            return bytes(content[:where])
        case 1:
            content[where] = rng.randrange(256)
        case 2:
            content[where : where + 4] = rng.choice((b"\\xff" * 4, bytes(4), rng.randbytes(4)))
        case _:
            content[rng.randrange(4096)] ^= 1 << rng.randrange(8)
    return bytes(content)

refused = 0
for _ in range(int(sys.argv[3])):
    copy.write_bytes(damaged())
    try:
        open_system(copy, shape=(1, 8, 8), classes=10)
    except UserError as error:
        refused += 1
        assert "\\n" not in str(error), error
print(refused)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits.int8.tflite", "digits.qdq.onnx", "digits.int8.pt2"])
def test_a_damaged_file_is_opened_or_refused(name: str, tmp_path: Path) -> None:
    """In a process of its own: a runtime that crashes takes it along, and its status says so."""
    copy = tmp_path / f"damaged{Path(name).suffix}"
    count = 200
    command = [sys.executable, "-W", "ignore", "-c", OPEN, str(FILES / name), str(copy), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert 0.2 * count < int(done.stdout.split()[-1]) <= count
