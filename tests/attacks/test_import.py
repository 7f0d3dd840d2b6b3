from __future__ import annotations

import subprocess
import sys


def test_registering_imports_neither_torch_nor_art() -> None:
    code = (
        "import sys, robench_attacks, robench_defenses\n"
        "heavy = {'torch', 'numpy', 'art', 'sklearn', 'scipy'} & set(sys.modules)\n"
        "sys.exit(f'imports {sorted(heavy)}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
