from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from robench import ConfigError, Data, Split, UsualThreat, evaluate
from robench.cli.record_table import print_record
from robench.run.config import Places
from robench.training.loop import Trainer
from robench.training.recipe import Recipe, TrainConfig
from robench_defenses.feedback import FeedbackLearning
from robench_defenses.feedback.directions import gradient_bank, random_bank
from robench_defenses.feedback.margins import margins, move
from robench_defenses.feedback.rounds import Round, draw

SMALL = FeedbackLearning(
    rounds=2, high_images=2, medium_images=3, low_images=4, random_directions=4, limit=0.5
)


def linear(weights: torch.Tensor, bias: torch.Tensor) -> nn.Module:
    layer = nn.Linear(weights.shape[1], weights.shape[0])
    layer.load_state_dict({"weight": weights, "bias": bias})
    return nn.Sequential(nn.Flatten(), layer).eval()


def two_classes() -> nn.Module:
    """Class 1 where the mean pixel of a 2x2 image is above 1/2."""
    return linear(torch.tensor([[0.0] * 4, [0.25] * 4]), torch.tensor([0.0, -0.5]))


def test_margins_of_a_linear_model_in_closed_form() -> None:
    images = torch.stack([torch.full((1, 2, 2), level) for level in (0.4, 0.3, 0.9)])
    labels = torch.tensor([0, 0, 1])
    up, one = torch.ones(1, 2, 2), torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    bank = torch.stack([up, -up, one]).expand(3, 3, 1, 2, 2)
    found = margins(two_classes(), images, labels, bank, 0.5, brackets=5, bisections=12)
    inf = float("inf")
    expected = torch.tensor([[0.1, inf, 0.4], [0.2, inf, inf], [inf, 0.4, inf]])
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


def test_an_image_that_is_wrong_has_margin_zero_everywhere() -> None:
    images, labels = torch.full((1, 1, 2, 2), 0.9), torch.tensor([0])
    bank = torch.ones(1, 2, 1, 2, 2)
    assert margins(two_classes(), images, labels, bank, 0.5).tolist() == [[0.0, 0.0]]


def test_the_first_of_several_changes_counts() -> None:
    class Stripes(nn.Module):
        """Class 1 while the pixel lies in [0.2, 0.3] or above 0.8."""

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            x = images.flatten(1)[:, 0]
            wrong = ((x >= 0.2) & (x <= 0.3)) | (x > 0.8)
            return torch.stack([1.0 - wrong.float(), wrong.float()], 1)

    bank = torch.ones(1, 1, 1, 1, 1)
    found = margins(Stripes(), torch.zeros(1, 1, 1, 1), torch.tensor([0]), bank, 1.0, 20, 10)
    assert found.item() == pytest.approx(0.2, abs=1e-3)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000))
def test_just_beyond_the_margin_the_label_changes_and_well_before_it_does_not(seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    model = linear(torch.randn(3, 16, generator=rng), torch.zeros(3))
    images = torch.rand(5, 1, 4, 4, generator=rng)
    labels = model(images).argmax(1)
    bank = random_bank((1, 4, 4), 6, "linf", rng).expand(5, 6, 1, 4, 4)
    found = margins(model, images, labels, bank, 1.0, brackets=32, bisections=6)
    image, direction = found.isfinite().nonzero(as_tuple=True)
    at, ways = found[image, direction], bank[image, direction]
    assert (model(move(images[image], ways, at)).argmax(1) != labels[image]).all()
    before = move(images[image], ways, (at - 1 / 32 / 64).clamp_min(0))
    assert (model(before).argmax(1) == labels[image]).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_random_directions_are_orthogonal_and_of_length_one(norm: str) -> None:
    bank = random_bank((1, 4, 4), 5, norm, torch.Generator().manual_seed(0)).flatten(1)
    off = bank @ bank.T - torch.diag((bank @ bank.T).diagonal())
    assert off.abs().max() < 1e-5
    length = bank.abs().amax(1) if norm == "linf" else bank.norm(dim=1)
    torch.testing.assert_close(length, torch.ones(5))


def test_an_image_has_no_more_orthonormal_directions_than_pixels() -> None:
    assert len(random_bank((1, 2, 2), 9, "l2", torch.Generator().manual_seed(0))) == 4
    assert len(random_bank((1, 2, 2), 0, "l2", torch.Generator().manual_seed(0))) == 0


def test_the_first_direction_towards_a_class_is_the_gradient() -> None:
    rng = torch.Generator().manual_seed(0)
    weights = torch.randn(4, 9, generator=rng)
    model, images = linear(weights, torch.zeros(4)), torch.full((1, 1, 3, 3), 0.5)
    label = torch.tensor([2])
    bank = gradient_bank(model, images, label, targets=9, steps=2, reach=0.2, norm="linf")
    assert bank.shape == (1, 3, 1, 3, 3)  # three other classes
    nearest = model(images)[0].topk(4).indices.tolist()
    nearest.remove(2)
    for place, target in enumerate(nearest):
        expected = (weights[target] - weights[2]).sign()
        assert torch.allclose(bank[0, place].flatten(), expected)


def test_many_paths_go_to_the_targets_of_their_own_images() -> None:
    rng = torch.Generator().manual_seed(0)
    model, images = (
        linear(torch.randn(4, 9, generator=rng), torch.zeros(4)),
        torch.rand(200, 1, 3, 3, generator=rng),
    )
    labels = torch.randint(4, (200,), generator=rng)
    bank = gradient_bank(model, images, labels, targets=3, steps=3, reach=0.2, norm="l2")
    for one in (0, 83, 84, 199):  # 250 paths go at once
        alone = gradient_bank(
            model, images[[one]], labels[[one]], targets=3, steps=3, reach=0.2, norm="l2"
        )
        torch.testing.assert_close(bank[one], alone[0], atol=1e-4, rtol=0)
    torch.testing.assert_close(bank.flatten(2).norm(dim=2), torch.ones(200, 3))


def blobs(count: int = 60, classes: int = 5) -> Data:
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % classes
    images = torch.randint(0, 80, (count, 1, 6, 6), generator=rng, dtype=torch.uint8)
    images[torch.arange(count), 0, labels % 6, :] += 120
    split = Split(images, labels)
    return Data(split, split, tuple(map(str, range(classes))), UsualThreat(LEVELS, 0.1))


LEVELS = {"linf": (0.1, 0.2, 0.3)}


def test_levels_follow_the_mean_margins() -> None:
    levels = FeedbackLearning().levels([0.5, 0.1, 0.4, 0.2, 0.3, 0.9, 0.8, 0.05, 0.6, 0.7])
    assert [levels[c] for c in (5, 6)] == ["high", "high"]
    assert [levels[c] for c in (7, 1, 3, 4, 2)] == ["low"] * 5
    assert levels.count("medium") == 3


def test_quotas_of_the_paper() -> None:
    options = FeedbackLearning()
    assert [options.quota(level) for level in ("high", "medium", "low")] == [20, 100, 150]


def test_fewer_images_than_a_quota_are_all_taken_once() -> None:
    drawn, rank = draw(blobs(count=12), 50, torch.Generator().manual_seed(0))
    assert len(drawn) == 12
    assert rank.max() == 2


def trained(options: FeedbackLearning, data: Data, rounds: int) -> tuple[nn.Module, Trainer]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 16), nn.ReLU(), nn.Linear(16, 5))
    trainer = Trainer(Recipe(epochs=20, batch=20, lr=0.01), 0, torch.device("cpu"))
    return replace(options, rounds=rounds).fit(model, data, trainer), trainer


def round_of(options: FeedbackLearning, data: Data) -> Round:
    return Round(options, data, "linf", 0.5, torch.Generator().manual_seed(0))


def examples_of(current: Round, model: nn.Module, data: Data) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    return current.generate(model, data.train.float_images(), data.train.labels, rng)


def test_each_level_gives_its_quota() -> None:
    data = blobs()
    model, _ = trained(SMALL, data, 0)
    chosen, notes = round_of(SMALL, data).select(model)
    assert len(chosen) == notes["images"] == 2 * 1 + 3 * 2 + 4 * 2
    assert sorted(notes["levels"]) == ["high", "low", "low", "medium", "medium"]
    quota = {"high": 2, "medium": 3, "low": 4}
    count = torch.bincount(chosen.labels, minlength=5).tolist()
    assert count == [quota[level] for level in notes["levels"]]
    least = min(notes["class_margins"])
    assert notes["levels"][notes["class_margins"].index(least)] == "low"


def test_examples_lie_beyond_the_boundary_on_the_8_bit_grid_and_keep_their_labels() -> None:
    data = blobs()
    model, _ = trained(SMALL, data, 0)
    current = round_of(SMALL, data)
    images, labels = examples_of(current, model, data)
    assert current.examples == len(images) == len(labels)
    torch.testing.assert_close(images * 255, (images * 255).round())
    # Beyond the first change, a boundary further out may bring the label back; rarely.
    assert (model(images).argmax(1) != labels).double().mean() > 0.9


def test_the_control_makes_as_many_examples_of_noise() -> None:
    data = blobs()
    model, _ = trained(SMALL, data, 0)
    wrong = {}
    for control in (False, True):
        current = round_of(replace(SMALL, control=control), data)
        images, labels = examples_of(current, model, data)
        wrong[control] = (len(images), (model(images).argmax(1) != labels).double().mean())
    assert wrong[True][0] == wrong[False][0]
    assert wrong[True][1] < wrong[False][1] - 0.3


def test_generating_leaves_the_training_mode_and_batch_statistics_alone() -> None:
    data = blobs()
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(36, 5)).train()
    before = {name: t.clone() for name, t in model.state_dict().items()}
    examples_of(round_of(SMALL, data), model, data)
    assert model.training
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())


def test_every_round_is_noted_and_the_same_seed_gives_the_same_weights() -> None:
    data = blobs()
    first, trainer = trained(SMALL, data, 2)
    second, _ = trained(SMALL, data, 2)
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    rounds = trainer.notes["feedback_learning"]
    assert len(rounds) == 2
    assert all(len(r["class_margins"]) == 5 and r["directions_per_second"] > 0 for r in rounds)


def strong_and_weak(count: int = 400) -> Data:
    """Two classes told apart by one pixel strongly, by 35 others weakly."""
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 2
    sign = (labels * 2 - 1).float()[:, None]
    pixels = 128 + 10 * sign + torch.randint(-4, 5, (count, 36), generator=rng)
    pixels[:, 0] = 128 + 100 * sign[:, 0]
    split = Split(pixels.to(torch.uint8).view(count, 1, 6, 6), labels)
    return Data(split, split, ("0", "1"), UsualThreat(LEVELS, 0.1))


def test_margins_grow() -> None:
    data, options = strong_and_weak(), FeedbackLearning(rounds=5, epochs=3)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    trainer = Trainer(Recipe(epochs=10, batch=20, lr=0.01), 0, torch.device("cpu"))
    options.fit(model, data, trainer)
    means = [sum(r["class_margins"]) for r in trainer.notes["feedback_learning"]]
    assert means[-1] > 1.1 * means[0]


def test_a_class_never_right_is_least_robust_and_its_images_are_repeated() -> None:
    data = blobs()
    model = linear(torch.zeros(5, 36), torch.tensor([1.0, 0, 0, 0, 0]))
    _, notes = round_of(SMALL, data).select(model)
    assert notes["class_margins"][1:] == [0.0] * 4
    images, labels = examples_of(round_of(SMALL, data), model, data)
    assert set(labels.tolist()) == {1, 2, 3, 4}
    known = {tuple(image.flatten().tolist()) for image in data.train.images}
    found = (images * 255).round().int()
    assert all(tuple(image.flatten().tolist()) in known for image in found)


def test_without_a_boundary_within_the_limit_training_images_remain() -> None:
    data = blobs()
    _, trainer = trained(replace(SMALL, limit=1e-5), data, 1)
    (only,) = trainer.notes["feedback_learning"]
    assert only["examples"] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 0}, "batch > 0"),
        ({"rounds": -1}, "rounds >= 0"),
        ({"epochs": 0}, "epochs > 0"),
        ({"low_images": 0}, "low_images > 0"),
        ({"directions": 0}, "directions > 0"),
        ({"factor_low": 0.0}, "factor_low > 0"),
        ({"factor_low": 2.0, "factor_high": 1.5}, "factor_high"),
        ({"high_share": 0.7, "low_share": 0.5}, "high_share"),
        ({"norm": "l1"}, "norm"),
        ({"limit": [0.1, 0.2]}, "one limit"),
        ({"limit": 0}, "limit"),
        ({"random_directions": 0, "targets": 0}, "direction"),
        ({"gradient_steps": 0}, "gradient_steps > 0"),
    ],
)
def test_bad_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FeedbackLearning(**options)  # type: ignore[arg-type]


def test_show_prints_the_margins_and_levels_of_every_round(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = Places(results=tmp_path / "results", cache=tmp_path / "cache")
    record = evaluate(
        "small_cnn",
        "digits",
        defense=[replace(SMALL, limit=None)],
        attack=["fgsm"],
        train=TrainConfig(epochs=1),
        images=20,
        places=places,
    )
    print_record(record, places.results / record.id)
    shown = capsys.readouterr().out
    assert "feedback_learning" in shown
    first = record.notes["feedback_learning"][0]
    assert len(record.notes["feedback_learning"]) == 2
    for margin in first["class_margins"]:
        assert str(margin) in shown
    assert "medium" in shown
