"""Made-up rows of one protocol: float parents, what was compressed of them, several seeds each."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from robench.base.stats import wilson
from robench.core.record import SYSTEM_KINDS
from robench.leaderboard.read.threat import Threat
from robench.leaderboard.table.cells import Cell, column_of, robust_column
from robench.leaderboard.table.proof import Proof
from robench.leaderboard.table.row import BoardRow
from robench.leaderboard.table.site import Site
from robench.leaderboard.write.charts import CHARTS
from robench.leaderboard.write.index import (
    chart_files,
    first_points,
    same_pages,
    site_files,
    still_files,
    tab_files,
)
from robench.records.protocols import Protocol
from tests.leaderboard.made import protocol

N = 400
UNDER = protocol("shelf_linf", title="Shelf, Linf", eps=8 / 255, dataset={"shelf": {}}, images=N)
CLEAN = column_of("clean_accuracy", "share", "higher", ())
SIZE = column_of("size", "bytes", "lower", ())


def shelf_row(
    name: str,
    share: float,
    *,
    defense: str = "none",
    compressor: str = "none",
    seed: int = 0,
    level: Any = "consistent",
    word: Any = "holds",
    disputed: bool = False,
    under: Protocol | None = UNDER,
    rng: Any = None,
) -> BoardRow:
    """A row of which a share of the images stands: the first ones, or drawn ones."""
    right = np.arange(N) < round(share * N) if rng is None else rng.random(N) < share
    bits = 32 if compressor == "none" else 8
    threat = Threat("linf", 8 / 255)
    low, high = wilson(int(right.sum()), N)
    sentence = {"holds": "no sign that gradients mislead"}.get(word, f"it is {word}")
    chosen = dict.fromkeys(SYSTEM_KINDS, "x") | {"defense": defense, "compressor": compressor}
    return BoardRow(
        id=name,
        folders=(Path(),),
        members=(name,),
        contents=(name,),
        weights=name,
        system=name,
        network=name,
        recipe=f"{defense}|{compressor}",
        origin=f"{defense}|{seed}",
        meaning={("", "images"): "i"},
        protocol=under,
        why_open="" if under else "no protocol was chosen",
        images=N,
        chosen={kind: {choice: {}} for kind, choice in chosen.items()},
        train={},
        access="white_box",
        seed=seed,
        bits=bits,
        file=None,
        word=word,
        sentence=sentence,
        cells={
            robust_column(threat): Cell(float(right.mean()), low, high, word, sentence),
            CLEAN: Cell(0.9 + seed / 100, 0.85, 0.95),
            SIZE: Cell(2000.0 * bits),
        },
        threat=threat,
        right=np.packbits(right).tobytes(),
        judged=N,
        missing="",
        subset="",
        attacks=("pgd",),
        queries_only=frozenset(),
        strips=(),
        axes=frozenset(),
        layers=(),
        proof=Proof(level, (level,), disputed=disputed),
    )


def shelf(count: int, seed: int = 0) -> list[BoardRow]:
    """Rows of random recipes, seeds, levels, words and shares."""
    rng = np.random.default_rng(seed)

    def pick(*of: str) -> str:
        return of[int(rng.integers(len(of)))]

    return [
        shelf_row(
            f"{number:08x}",
            float(rng.random()),
            defense=pick("none", "adversarial_training", "mulaw"),
            compressor=pick("none", "ptq", "qat_int8"),
            seed=int(rng.integers(3)),
            level=pick("consistent", "verified", "reported"),
            word=pick("holds", "holds", "broken", "suspect", "masked"),
            rng=rng,
        )
        for number in range(count)
    ]


def few() -> list[BoardRow]:
    """What a reader meets: a float network ahead, its int8 child, three seeds, one that broke."""
    trained: dict[str, Any] = {"defense": "adversarial_training"}
    return [
        shelf_row("0000000a", 0.42, **trained, level="verified"),
        shelf_row("0000000b", 0.36, **trained, compressor="qat_int8", level="verified"),
        *(
            shelf_row(f"0000001{k}", 0.2 + k / 100, defense="mulaw", compressor="ptq", seed=k)
            for k in range(3)
        ),
        shelf_row("0000000c", 0.0, compressor="qat_int8", word="broken"),
        shelf_row("0000000d", 0.001, word="broken"),
    ]


def write_site(site: Site, out: Path, template: Path) -> None:
    """The page of a site in memory: all files but the rows' documents."""
    tabs = (file for number in range(len(site.tabs)) for file in tab_files(site, number))
    points = first_points(site)
    shared: Iterable[tuple[str, str]] = (
        *site_files(site, 1, [], {name for name, its in points.items() if its}),
        *same_pages(),
        *chart_files(CHARTS),
        *still_files(points),
    )
    for name, text in [*shared, *tabs]:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(text, encoding="utf-8")
    for part in ("assets", "vendor"):
        (out / part).symlink_to(template / part)
