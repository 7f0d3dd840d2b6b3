"""Records whose images are right by plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from robench.core.outcomes import CLEAN, COLUMNS
from robench.core.record import (
    AttackRow,
    Audit,
    DataInfo,
    FileInfo,
    Provenance,
    Record,
    TwinAgreement,
    Value,
)
from robench.studies import Variant

N = 200


def put(
    root: Path,
    name: str,
    variant: Variant,
    shares: dict[tuple[str, str, float], float],
    clean: float = 1.0,
    finished: float = 1.0,
    subset: str = "s",
    values: tuple[Value, ...] = (),
    audit: tuple[Audit, ...] = (),
    file: FileInfo | None = None,
    files: dict[str, str] | None = None,
    components: dict[str, str] | None = None,
) -> None:
    """Write a record whose first images are right: a share of them for each row."""
    config: dict[str, Any] = {
        kind: {choice: {} for choice in chosen} for kind, chosen in variant.chosen.items()
    }
    for path, value in variant.options.items():
        *parts, option = path.split(".")
        node: dict[str, Any] = config
        for part in parts:
            node = node.setdefault(part, {})
        node[option] = value
    record = Record(
        id=name,
        config=config,
        seed=0,
        data=DataInfo(name="mnist", hash="h", images=N, subset=subset),
        values=values,
        audit=audit,
        file=file,
        files=files or {},
        rows=tuple(_attack_row(*row) for row in shares),
        agreement=TwinAgreement(equal_labels=1.0, logit_gap=0.0, n=N, flagged=False),
        protocol="p",
        provenance=Provenance(
            robench="0",
            distributions={},
            components=components or {},
            python="3",
            machine="m",
            device="cpu",
            threads=1,
        ),
        timings={"finished": finished},
    )
    folder = root / name
    folder.mkdir()
    (folder / "record.json").write_text(record.model_dump_json())
    frames = [_rows(CLEAN, "none", np.nan, clean, clean)]
    frames += [_rows(*row, share, clean) for row, share in shares.items()]
    pd.concat(frames).to_parquet(folder / "outcomes.parquet", index=False)


def _attack_row(attack: str, access: str, eps: float) -> AttackRow:
    norm = "linf"
    return AttackRow(attack=attack, access=access, norm=norm, eps=eps, status="ok", seconds=0.0)


def _rows(attack: str, access: str, eps: float, share: float, clean: float) -> pd.DataFrame:
    place = np.arange(N)
    frame = pd.DataFrame(
        {
            "image": place,
            "label": 1,
            "attack": attack,
            "access": access,
            "search": "ball",
            "norm": "linf",
            "eps": eps,
            "clean_prediction": (place < clean * N).astype(int),
            "prediction": (place < share * N).astype(int),
            "linf": 0.0,
            "l2": 0.0,
            "valid": True,
        }
    )
    return frame.astype(COLUMNS)
