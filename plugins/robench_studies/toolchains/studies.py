"""Which toolchain keeps the robustness that was trained in? A study of robench's own."""

from __future__ import annotations

from functools import partial

from robench.studies import Study
from robench_studies import REASONS
from robench_studies.toolchains.claims import claims
from robench_studies.toolchains.sections import differences, files
from robench_studies.toolchains.systems import (
    AGAIN,
    CIFAR10,
    DEFENSES,
    FLOAT,
    MADE,
    MNIST,
    Setup,
)

SOURCE = (
    "a question of this project, on which papers disagree (RobustMQ, Visual Intelligence 2023, "
    "finds quantised networks more robust; arXiv 2404.05639 finds contradictions and puts them "
    "down to pipelines)"
)
SETTINGS = {
    "holds": "right clean, under every attack of the protocol and after the audit",
    "files": "static int8 from 512 training images, each toolchain's own defaults else",
    "LiteRT": "its converter has no room beside robench: tools/litert_file.py makes the file, "
    "`model=file` judges it",
    "qat_int8": "robench's own; trained again under fake quantization, so other weights",
    "OpenVINO": "the twin is read from the QDQ file; where it agrees too little with OpenVINO, its "
    "rows are transfer, and what holds is an upper bound",
}


def _study(name: str, setup: Setup) -> Study:
    systems = (FLOAT, *MADE, *AGAIN)
    return Study(
        name=name,
        title=f"What compression does to robustness: {setup.dataset}",
        source=SOURCE,
        variants=[setup.variant(d, t) for d in DEFENSES for t in systems],
        tables={"What holds": setup.measures},
        cells=[],
        claims=claims(setup),
        settings=SETTINGS,
        sections=[partial(differences, setup), partial(files, setup)],
        overrides=f"experiment=toolchains protocol={setup.protocol} model={setup.model}",
        reasons=REASONS,
    )


SETUPS = {"toolchains": CIFAR10, "toolchains_mnist": MNIST}
STUDIES = {name: _study(name, setup) for name, setup in SETUPS.items()}
