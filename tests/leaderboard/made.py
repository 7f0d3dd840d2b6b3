"""Real records of tiny models, made once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import robench
from robench.base.hashing import canonical
from robench.core.outcomes import Outcomes, RowOutcomes, clean_score, scores, worst_cases
from robench.core.record import RUN_KINDS, Record, share
from robench.leaderboard.read.claims import Claim
from robench.leaderboard.read.intake import Taken
from robench.records.protocols import Protocol
from robench.records.trust import STEPS, Attestation, Step
from robench.run.config import Places
from robench.testing import tiny_data, tiny_network


@dataclass(frozen=True, kw_only=True)
class Crashing(robench.Attack):
    """Raises."""

    def run(
        self,
        twin: nn.Module,
        images: Tensor,
        labels: Tensor,
        threat: robench.Threat,
        rng: torch.Generator,
    ) -> Tensor:
        raise RuntimeError("<b>out of memory</b>")


def blurred() -> nn.Module:
    """The tiny network, made worse."""
    model = tiny_network()
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
            parameter += 0.3 * noise * parameter.abs().mean()
    return model


LABELS = np.arange(40, dtype=np.int16) % 4
THREAT = "linf", 0.1


def protocol(
    name: str = "p", version: int = 1, norm: str = "linf", eps: float = 0.1, **changed: Any
) -> Protocol:
    """A named protocol of one threat, for rows in memory."""
    given: dict[str, Any] = {
        "title": f"title of {name}",
        "package": "robench",
        "dataset": {"x": {}},
        "data": "0" * 16,
        "seed": 0,
        "images": len(LABELS),
        "subset": "0" * 16,
        "threat": {"norm": norm, "eps": [eps]},
        "attack": {"pgd": {}},
        "access": {"white_box": {}},
        "audit": "quick",
        "certified": None,
        "alpha": None,
        "versions": {},
        "headline_eps": eps,
        "headline_radius": None,
        "minutes": 1.0,
        "stated": {},
        **changed,
    }
    return Protocol(name=name, version=version, **given)


def claim(
    answers: Mapping[str, Any],
    *,
    protocol: Protocol | None = None,
    folder: Path | None = None,
    name: str = "aaaaaaaa",
    weights: str | None = None,
    verified: bool = False,
    audited: tuple[int, str] | None = None,
    **changed: Any,
) -> Claim:
    """A record in memory: `answers` says, by row, which of 40 images are right; a row is an attack,
    or an attack with norm and eps.

    `audited` are the images of 20 that stood, and the audit's verdict.
    """
    rows = {key if isinstance(key, tuple) else (key, *THREAT): its for key, its in answers.items()}
    outcomes = Outcomes(tuple(_row(*key, its, answers["clean"]) for key, its in rows.items()))
    attacks = [key for key in rows if key[0] != "clean"]
    threat: dict[str, Any] = dict(zip(("norm", "eps"), THREAT, strict=True))
    values = [
        share("clean_accuracy", clean_score(outcomes).right.sum(), len(LABELS), {}),
        *(
            share("robust_accuracy", one.right.sum(), len(LABELS), one.axes)
            for one in scores(outcomes, {}, when_clean_right=True)
        ),
        *(
            share("worst_case_accuracy", one.right.sum(), len(LABELS), one.axes)
            for one in worst_cases(outcomes, {})
        ),
    ]
    audits = []
    if audited:
        values.append(share("audited_accuracy", audited[0], 20, threat))
        audits.append({**threat, "level": "quick", "n": 20, "verdict": audited[1]})
    kinds: dict[str, Any] = {kind: {"x": {}} for kind in (*RUN_KINDS, "access")}
    kinds["attack"] = {attack: {} for attack, _, _ in attacks}
    record = Record.model_validate(
        {
            "id": name,
            "config": {
                **kinds,
                "attack": {key[0]: {} for key in attacks},
                "train": {},
                "threat": {},
                **({"protocol": protocol.plain} if protocol else {}),
            },
            "seed": 0,
            "data": {"name": "d", "hash": "0" * 8, "images": len(LABELS), "subset": "0" * 8},
            "values": values,
            "rows": [
                {"attack": attack, "access": "white_box", "norm": norm, "eps": eps}
                for attack, norm, eps in attacks
            ],
            "agreement": {"equal_labels": 1.0, "logit_gap": None, "n": 40, "flagged": False},
            "audit": audits,
            "protocol": "0" * 8,
            "provenance": {
                "robench": "0",
                "distributions": {},
                "components": {},
                "python": "3",
                "machine": "m",
                "device": "cpu",
                "threads": 1,
            },
            **changed,
        }
    )
    told = [record.model_dump(mode="json"), weights, verified, outcomes["prediction"].tolist()]
    told += [protocol and protocol.plain, str(folder)]
    content = hashlib.sha256(canonical(told).encode()).hexdigest()
    steps = tuple(Step(name=one, outcome="pass") for one in STEPS)
    attestation = Attestation(
        record=name, content=content, date="2026-01-01", robench="0", torch="0", machine="m",
        steps=steps,
    )  # fmt: skip
    taken = Taken(record, outcomes, (), folder or Path("nowhere") / content)
    shown = attestation if verified else None
    why = "" if protocol else "no protocol was chosen"
    return Claim(taken, content, weights, shown, (), protocol, why)


def _row(attack: str, norm: str, eps: float, right: Any, clean_right: Any) -> RowOutcomes:
    wrong = (LABELS + 1) % 4
    clean = np.where(clean_right, LABELS, wrong)
    plain = attack == "clean"
    return RowOutcomes(
        attack=attack,
        access="none" if plain else "white_box",
        search="clean" if plain else "ball",
        norm="" if plain else norm,
        eps=None if plain else eps,
        image=np.arange(len(LABELS)),
        label=LABELS,
        clean_prediction=clean,
        prediction=np.where(right, LABELS, wrong),
        linf=np.zeros(len(LABELS)),
        l2=np.zeros(len(LABELS)),
        valid=True,
    )


@pytest.fixture(scope="session")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four records: two that compare, one audited under another protocol, one with a crash."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("made")
    places = Places(results=root / "results", cache=root / "cache", threads=1)
    data, attacks = tiny_data(), ("fgsm", "pgd", "cw", "square")
    metrics = ("accuracy", "size", "latency")
    shared = {"metric": metrics, "places": places, "audit": "off"}
    for model in (tiny_network(), blurred()):
        robench.evaluate(model, data, attack=attacks, **shared)  # type: ignore[arg-type]
    # Other seeds, so that they are other rows.
    audited: dict[str, Any] = {"attack": ("fgsm", "pgd"), "audit": "quick", "seed": 1}
    crashed: dict[str, Any] = {"attack": ("fgsm", Crashing()), "audit": "off", "seed": 2}
    for given in (audited, crashed):
        robench.evaluate(tiny_network(), data, places=places, **given)
    return root / "results"


@pytest.fixture(scope="session")
def page(records: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the four records."""
    from robench.leaderboard.build import build

    out = tmp_path_factory.mktemp("page") / "site"
    build([records], out)
    return out
