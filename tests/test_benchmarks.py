"""The benchmark of attacks: what it counts, what its masks keep, how it judges both sides."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks import autoattack, original
from benchmarks.audit import limits
from benchmarks.autoattack import Line, Original, Side
from benchmarks.held_out import HELD_OUT, MASKED
from benchmarks.masked import Bent, Clipped, FewLevels, Masked, Scaled
from benchmarks.networks import TUNING
from benchmarks.original import Cost, Rounded


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 5))


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(7, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def test_a_rounded_network_sees_the_grid_and_keeps_gradients(
    model: nn.Module, images: torch.Tensor
) -> None:
    x = images.clone().requires_grad_()
    logits = Rounded(model)(x)
    assert torch.allclose(logits, model((images * 255).round() / 255), atol=1e-6)
    logits.sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0


@pytest.mark.parametrize("mask", [Clipped, Scaled, Bent])
def test_masks_keep_the_labels(mask: type[Masked], model: nn.Module, images: torch.Tensor) -> None:
    assert torch.equal(mask(model)(images).argmax(1), model(images).argmax(1))
    assert mask(model).adaptive is model


def test_few_levels_have_no_gradient_but_for_who_knows(
    model: nn.Module, images: torch.Tensor
) -> None:
    masked = FewLevels(model)
    x = images.clone().requires_grad_()
    masked(x).sum().backward()
    assert x.grad is not None
    assert not x.grad.any()
    x = images.clone().requires_grad_()
    logits = masked.adaptive(x)
    assert torch.allclose(logits, masked(images), atol=1e-6)
    logits.sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0


def test_a_bent_gradient_points_elsewhere(model: nn.Module, images: torch.Tensor) -> None:
    def gradient(of: nn.Module) -> torch.Tensor:
        x = images.clone().requires_grad_()
        (found,) = torch.autograd.grad(of(x)[:, 0].sum(), x)
        return found

    honest, bent = gradient(model), gradient(Bent(model))
    assert torch.equal(bent.abs(), honest.abs())
    assert (bent != honest).float().mean() > 0.3


def test_no_network_is_both_tuned_on_and_held_out() -> None:
    names = [network.name for network in (*TUNING, *HELD_OUT, *MASKED)]
    assert len(set(names)) == len(names)
    assert not {n.weights for n in TUNING} & {n.weights for n in (*HELD_OUT, *MASKED)}


def test_a_stored_side_reads_as_written(tmp_path: Path) -> None:
    side = Original("0.2.0", "abc", 0, 4, [0, 2], [0, 2, 3], Cost({"apgd": 1.5}, 10, 5))
    (tmp_path / "one.json").write_text(json.dumps(asdict(side)))
    found = autoattack.read(tmp_path / "one.json")
    assert found == side
    assert found.side(found.held).held.tolist() == [True, False, True, False]


def test_differences_are_paired_and_marked() -> None:
    def side(held: int, seconds: float) -> Side:
        return Side(torch.arange(500) < held, seconds, 100, 200)

    line = Line("a", "float", side(100, 30.0), [side(99, 3.0), side(98, 2.0)], 0.9)
    found = line.against(line.ours[0].held)
    assert found is not None
    assert (found.only_first, found.only_second) == (0, 1)
    assert autoattack.difference(found).startswith("-0.2 [")
    assert "!" not in autoattack.cells(line, 500)[5]
    weaker = Line("a", "float", side(100, 30.0), [side(110, 3.0)], 0.9)
    assert autoattack.cells(weaker, 500)[5].endswith("!")
    assert line.faster == pytest.approx(12.0)
    assert line.union.sum() == 98
    assert "mean difference +0.90 points" in autoattack.summary([line, weaker], "float")


def test_the_original_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(original, "import_module", _missing)
    assert original.installed() is None
    line = Line("a", "float", None, [Side(torch.ones(4, dtype=torch.bool), 1.0, 8, 12)], 1.0)
    assert autoattack.cells(line, 4)[3] == ""
    assert line.faster is None


def _missing(name: str) -> None:
    raise ImportError(name)


def test_the_audits_limits_are_those_that_were_judged() -> None:
    """A changed one needs networks that the audit has not met; the page states the digest."""
    assert list(limits.apart()) == []
    page = (limits.ROOT / "docs/explanation/audit.md").read_text("utf-8")
    assert limits.name_of(limits.judged()) in page


def test_a_limit_is_found_wherever_it_stands(tmp_path: Path) -> None:
    (tmp_path / "robench/search").mkdir(parents=True)
    (tmp_path / "robench/search/secant.py").write_text(
        "PART, NAME = 0.25, 'x'\n"
        "class One:\n    images: int = 20\n"
        "def look(trial, much=PART):\n"
        "    local = 3\n"
        "    return found('noise', x[1:], dim=1, suspect=0.02 if trial.odd else 1.0, n=local)\n"
    )
    assert limits.limits(tmp_path) == {
        "robench.search.secant:One.images": "20",
        "robench.search.secant:PART": "0.25",
        "robench.search.secant:look.found('noise').suspect": "0.02 if trial.odd else 1.0",
        "robench.search.secant:look.much": "PART",
    }
