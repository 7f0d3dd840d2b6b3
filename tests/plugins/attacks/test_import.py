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


def test_robenchs_own_engine_needs_no_art() -> None:
    code = (
        "import sys, torch\n"
        "from robench import Threat\n"
        "from robench_attacks import BIM, CW, FGSM, MIM, PGD, NormalNoise, Square\n"
        "net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))\n"
        "images, labels = torch.rand(2, 1, 4, 4), torch.tensor([0, 1])\n"
        "for attack in (BIM(), CW(), FGSM(), MIM(), PGD(), NormalNoise(), Square(queries=9)):\n"
        "    threat = Threat('l2', 0.1)\n"
        "    attack.run(net, images, labels, threat, torch.Generator())\n"
        "heavy = {'art', 'sklearn', 'scipy'} & set(sys.modules)\n"
        "sys.exit(f'imports {sorted(heavy)}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
