from __future__ import annotations

import math

import pytest
import torch

from robench.base.errors import ConfigError
from robench.search import LOSSES, TargetedLoss, cross_entropy, dlr, margin, probability_margin
from robench.search.losses import resolve_loss

LOGITS = torch.tensor([[2.0, 1.0, -1.0], [0.0, 3.0, 1.0]])
LABELS = torch.tensor([0, 2])


def test_margin_is_the_best_wrong_logit_over_the_label() -> None:
    assert margin(LOGITS, LABELS).tolist() == [-1.0, 2.0]


def test_cross_entropy_of_equal_logits_is_the_logarithm_of_the_classes() -> None:
    assert cross_entropy(torch.zeros(1, 4), torch.tensor([1])).item() == pytest.approx(math.log(4))


def test_dlr_by_hand() -> None:
    # (1 - 2) / (2 - (-1)) and (3 - 1) / (3 - 0)
    assert dlr(LOGITS, LABELS).tolist() == pytest.approx([-1 / 3, 2 / 3])


def test_dlr_ignores_scale_and_shift() -> None:
    assert torch.allclose(dlr(LOGITS * 1000 + 7, LABELS), dlr(LOGITS, LABELS))


def test_dlr_of_two_classes_keeps_the_margins_direction() -> None:
    logits = torch.tensor([[1.0, 0.5]], requires_grad=True)
    dlr(logits, torch.tensor([0])).sum().backward()
    assert logits.grad is not None
    assert logits.grad.tolist() == [[-1.0, 1.0]]


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
def test_every_loss_rises_when_the_label_loses(loss: object) -> None:
    assert callable(loss)
    right, wrong = loss(torch.tensor([[3.0, 0.0, -1.0], [0.0, 3.0, -1.0]]), torch.tensor([0, 0]))
    assert wrong > right


def test_targeted_losses_by_hand() -> None:
    logits, labels, targets = torch.tensor([[4.0, 1.0, 0.0, -2.0]]), LABELS[:1], torch.tensor([2])
    chances = logits.softmax(1)[0]
    assert margin(logits, labels, targets).tolist() == [-4.0]
    assert dlr(logits, labels, targets).tolist() == pytest.approx([-4 / (4 - (0 - 2) / 2)])
    assert cross_entropy(logits, labels, targets).item() == pytest.approx(chances[2].log().item())
    assert probability_margin(logits, labels, targets).item() == pytest.approx(
        (chances[2] - chances[0]).item()
    )


@pytest.mark.parametrize("classes", [2, 3, 4])
@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
def test_every_targeted_loss_rises_with_its_target(loss: TargetedLoss, classes: int) -> None:
    logits = torch.zeros(1, classes)
    logits[0, 0] = 2.0
    labels, targets = torch.tensor([0]), torch.tensor([1])
    nearer = logits + torch.nn.functional.one_hot(targets, classes)
    assert loss(nearer, labels, targets) > loss(logits, labels, targets)


def test_unknown_loss_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected loss to be one of cross_entropy"):
        resolve_loss("hinge")
