"""The headline: never above anything that is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robench.base.errors import UserError
from robench.core.outcomes import Outcomes, RowOutcomes, scores, worst_cases
from robench.core.record import (
    AttackRow,
    DataInfo,
    Provenance,
    Record,
    TwinAgreement,
    Value,
)
from robench.records.headline import audit_table, headline

N = 12
BALL, BUDGETS = ("linf", 0.1), (0.5, 1.0)


def row(
    attack: str, right: Any, clean: Any, threat: tuple[str, float | None], search: str = "ball",
    access: str = "white_box", length: Any = 0.0,
) -> RowOutcomes:  # fmt: skip
    """Outcomes of one attack whose right answer is 0."""
    return RowOutcomes(
        attack=attack, access=access, search=search, norm=threat[0], eps=threat[1],
        image=np.arange(N), label=np.zeros(N), clean_prediction=1 - np.array(clean, dtype=int),
        prediction=1 - np.array(right, dtype=int), linf=np.zeros(N),
        l2=np.broadcast_to(np.array(length), N), valid=True,
    )  # fmt: skip


def record_of(outcomes: Outcomes, **parts: Any) -> Record:
    """A record of these rows, without values but the budgets of cw."""
    attacked = [one for one in outcomes.rows if one.attack != "clean"]
    minimal = [one.attack for one in attacked if one.search == "minimal"]
    values = tuple(
        Value(metric="robust_accuracy", value=0.0, axes={"attack": name, "eps": budget})
        for name in minimal
        for budget in BUDGETS
    )
    rows = tuple(
        AttackRow(attack=one.attack, access=one.access, norm=one.norm, eps=one.eps)
        for one in attacked
    )
    given: dict[str, Any] = {
        "id": "0", "config": {"defense": {}}, "seed": 0, "values": values, "rows": rows,
        "data": DataInfo(name="d", hash="0", images=N, subset="0"), "protocol": "0",
        "agreement": TwinAgreement(equal_labels=1, logit_gap=None, n=N, flagged=False),
        "provenance": Provenance(
            robench="0", distributions={}, components={}, python="3", machine="m", device="cpu",
            threads=1,
        ),
    }  # fmt: skip
    return Record(**{**given, **parts})


def table_of(positions: list[int], held: list[bool], threat: tuple[str, float]) -> dict[str, Any]:
    n = len(positions)
    return {
        "norm": np.full(n, threat[0]),
        "eps": np.full(n, threat[1]),
        "position": np.array(positions, dtype=np.int64),
        "held": np.array(held, dtype=bool),
    }


truths = st.lists(st.booleans(), min_size=N, max_size=N)
lengths = st.lists(st.sampled_from([0.2, 0.7, 1.5]), min_size=N, max_size=N)


@settings(max_examples=80, deadline=None)
@given(truths, truths, truths, truths, lengths, st.sets(st.integers(0, N - 1)), truths)
def test_never_above_a_row_a_worst_case_or_an_audit(
    clean: Any, white: Any, transfer: Any, far: Any, length: Any, looked: set[int], held: Any
) -> None:
    outcomes = Outcomes(
        (
            row("clean", clean, clean, ("", None), "clean", "none"),
            row("pgd", white, clean, BALL),
            row("pgd", transfer, clean, BALL, access="transfer"),
            row("cw", far, clean, ("l2", None), "minimal", length=length),
            row("noise", transfer, clean, BALL, "noise", "none"),
        )
    )
    record, at = record_of(outcomes), sorted(looked)
    budgets = {"cw": BUDGETS}
    for threat in (BALL, ("l2", 0.5), ("l2", 1.0)):
        table = table_of(at, [held[i] for i in at], threat)
        found = headline(record, outcomes, table, *threat)
        assert found.shape == (N,)
        assert not (found & ~np.array(clean)).any()
        for score in scores(outcomes, budgets, when_clean_right=True):
            if (score.norm, score.eps) == threat and score.attack != "noise":
                assert not (found & ~score.right).any()
        (worst,) = [s for s in worst_cases(outcomes, budgets) if (s.norm, s.eps) == threat]
        assert not (found & ~worst.right).any()
        assert not any(found[i] and not held[i] for i in at)
        # Nor below: what nothing breaks holds.
        fell = np.zeros(N, dtype=bool)
        fell[[i for i in at if not held[i]]] = True
        assert np.array_equal(found, worst.right & ~fell)
        assert np.array_equal(headline(record, outcomes, None, *threat), worst.right)


def test_an_audit_of_another_threat_says_nothing() -> None:
    yes = [True] * N
    outcomes = Outcomes(
        (row("clean", yes, yes, ("", None), "clean", "none"), row("pgd", yes, yes, BALL))
    )
    table = table_of(list(range(N)), [False] * N, ("linf", 0.2))
    assert headline(record_of(outcomes), outcomes, table, *BALL).all()


def test_no_table_no_audit(tmp_path: Any) -> None:
    assert audit_table(tmp_path) is None


def test_a_table_of_other_images_is_refused() -> None:
    yes = [True] * N
    outcomes = Outcomes((row("clean", yes, yes, ("", None), "clean", "none"),))
    table = table_of([N], [False], BALL)
    with pytest.raises(UserError, match="expected positions of 12 images"):
        headline(record_of(outcomes), outcomes, table, *BALL)
