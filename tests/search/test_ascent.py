from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from robench.base.errors import ConfigError
from robench.core.threat import TOLERANCE, Threat, distance, towards_grid
from robench.search import GradientSearch, StepInfo, Trace, margin

SEARCHES = {
    "fgsm": GradientSearch(steps=1, best=False),
    "bim": GradientSearch(steps=10),
    "mim": GradientSearch(steps=10, decay=1.0),
    "pgd": GradientSearch(steps=20, step=8, random_start=True),
    "pgd_margin": GradientSearch(steps=20, step=8, random_start=True, loss="margin"),
    "pgd_dlr": GradientSearch(steps=20, step=8, random_start=True, loss="dlr"),
    "pgd_restarts": GradientSearch(steps=10, step=8, random_start=True, restarts=3),
}
SHAPE = (2, 3, 3)


class Linear(nn.Module):
    """Two classes, logits (0, w x + b): the loss of label 0 grows along w."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(18, generator=torch.Generator().manual_seed(seed)))

    def forward(self, images: Tensor) -> Tensor:
        score = images.flatten(1) @ self.weight
        return torch.stack([torch.zeros_like(score), score - 40], dim=1)


def net(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(2, 4, 2), nn.ReLU(), nn.Flatten(), nn.Linear(16, 4))


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def middle(count: int = 4) -> Tensor:
    """Images so far from 0 and 1 that the pixel range does not bind."""
    return 0.4 + 0.2 * torch.rand(count, *SHAPE, generator=rng(1))


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_linear_model_is_driven_to_the_closed_form_optimum(name: str, norm: str) -> None:
    twin, images, eps = Linear(), middle(), 0.1
    weight = twin.weight.detach().view(SHAPE)
    step = weight.sign() if norm == "linf" else weight / weight.norm()
    found = SEARCHES[name].run(
        twin, images, torch.zeros(4, dtype=torch.int64), Threat(norm, eps), rng()
    )
    optimum, reached = twin(images + eps * step)[:, 1], twin(found)[:, 1]
    start = twin(images)[:, 1]
    assert torch.allclose((reached - start) / (optimum - start), torch.ones(4), atol=2e-3)


@pytest.mark.parametrize("name", SEARCHES)
@settings(deadline=None, max_examples=15)
@given(
    norm=st.sampled_from(["linf", "l2"]),
    eps=st.floats(0, 2, allow_subnormal=False),
    seed=st.integers(0, 99),
)
def test_candidates_stay_in_the_ball_and_the_pixel_range(
    name: str, norm: str, eps: float, seed: int
) -> None:
    images = torch.rand(3, *SHAPE, generator=rng(seed))
    found = SEARCHES[name].run(
        net(seed), images, torch.tensor([0, 1, 2]), Threat(norm, eps), rng(seed)
    )
    assert found.min() >= 0
    assert found.max() <= 1
    assert (distance(found, images, norm) <= eps + TOLERANCE).all()
    if eps == 0:
        assert found.equal(images)


@pytest.mark.parametrize("name", SEARCHES)
def test_searches_leave_twin_images_and_global_generator_alone(name: str) -> None:
    twin, images = net().train(), middle()
    before = {key: value.clone() for key, value in twin.state_dict().items()}
    kept, state = images.clone(), torch.random.get_rng_state()
    SEARCHES[name].run(twin, images, torch.zeros(4, dtype=torch.int64), Threat("linf", 0.1), rng())
    assert torch.random.get_rng_state().equal(state)
    assert images.equal(kept)
    assert twin.training
    assert all(value.equal(before[key]) for key, value in twin.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in twin.parameters())


@pytest.mark.parametrize("name", SEARCHES)
def test_the_same_seed_gives_the_same_candidates(name: str) -> None:
    images, labels = middle(), torch.zeros(4, dtype=torch.int64)
    runs = [SEARCHES[name].run(net(), images, labels, Threat("l2", 0.5), rng(3)) for _ in range(2)]
    assert runs[0].equal(runs[1])


class Broken(nn.Module):
    """Puts `value` in the place of half of the gradient."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.inner, self.value = Linear(), value

    def forward(self, images: Tensor) -> Tensor:
        if images.requires_grad:
            spoil = torch.ones(SHAPE)
            spoil[0] = self.value
            images.register_hook(lambda gradient: gradient * spoil)
        logits: Tensor = self.inner(images)
        return logits


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_bad_gradients_count_as_zero(name: str, norm: str, value: float) -> None:
    images = middle()
    found = SEARCHES[name].run(
        Broken(value), images, torch.zeros(4, dtype=torch.int64), Threat(norm, 0.1), rng()
    )
    assert found.isfinite().all()
    if not SEARCHES[name].random_start:
        assert found[:, 0].equal(images[:, 0])
    assert not found[:, 1].equal(images[:, 1])


def test_nan_logits_do_not_make_nan_candidates() -> None:
    class Nan(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.flatten(1)[:, :3] * float("nan")

    for search in SEARCHES.values():
        found = search.run(
            Nan(), middle(), torch.zeros(4, dtype=torch.int64), Threat("linf", 0.1), rng()
        )
        assert found.isfinite().all()


def late_and_early(images: Tensor) -> Tensor:
    """Right on both sides of a narrow band: the last iterate can be right after a wrong one."""
    level = images.flatten(1).mean(1) * 100
    wrong = 1 - (level - 53).square()
    return torch.stack([torch.zeros_like(wrong), wrong], dim=1)


class Function(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, images: Tensor) -> Tensor:
        return self.function(images)


def test_the_best_iterate_is_kept_when_the_last_one_overshoots() -> None:
    twin, images = Function(late_and_early), torch.full((1, *SHAPE), 0.5)
    labels, threat = torch.zeros(1, dtype=torch.int64), Threat("linf", 0.10)
    # Steps of 0.031 go to 0.531 (wrong), then back and forth; an odd last step is right again.
    best = GradientSearch(steps=10, step=3.1).run(twin, images, labels, threat, rng())
    assert twin(best).argmax(1).item() == 1


@settings(deadline=None, max_examples=20)
@given(
    seed=st.integers(0, 99),
    norm=st.sampled_from(["linf", "l2"]),
    grid=st.booleans(),
    restarts=st.integers(2, 5),
)
def test_restarts_only_add_wrong_images(seed: int, norm: str, grid: bool, restarts: int) -> None:
    twin, labels = net(seed), torch.randint(4, (64,), generator=rng(seed))
    images = (torch.rand(64, *SHAPE, generator=rng(seed)) * 255).round() / 255
    threat = Threat(norm, 0.02 if norm == "linf" else 0.05, grid)
    fewer = GradientSearch(steps=3, random_start=True, restarts=restarts - 1)
    more = replace(fewer, restarts=restarts)
    once, found = (
        twin(threat.project(search.run(twin, images, labels, threat, rng()), images)).argmax(1)
        for search in (fewer, more)
    )
    assert ((found != labels) | (once == labels)).all()


def test_a_restart_attacks_what_rounding_made_right_again() -> None:
    """Levels above 128 are wrong; a start at 128.5 is, and is right on the grid."""

    def logits(images: Tensor) -> Tensor:
        level = images.flatten(1) * 255
        return torch.cat([torch.full_like(level, 128), level], dim=1)

    twin, labels = Function(logits), torch.zeros(200, dtype=torch.int64)
    images, threat = torch.full((200, 1, 1, 1), 127 / 255), Threat("linf", 1.9 / 255)
    attacked = {}
    for grid in (False, True):
        steps: list[StepInfo] = []
        search = GradientSearch(steps=1, step=0.3, random_start=True, restarts=2)
        search.run(twin, images, labels, replace(threat, grid=grid), rng(), callback=steps.append)
        attacked[grid] = [len(info.index) for info in steps if info.step == 0]
    assert attacked[True] == [200, 200]
    assert 0 < attacked[False][1] < 200


def test_temperature_brings_back_a_saturated_cross_entropy() -> None:
    twin, images = Function(lambda x: Linear()(x) * 1000), middle()
    labels, threat = torch.zeros(4, dtype=torch.int64), Threat("linf", 0.1)
    plain = GradientSearch(steps=5).run(twin, images, labels, threat, rng())
    assert plain.equal(images)
    warm = GradientSearch(steps=5, temperature=10_000.0).run(twin, images, labels, threat, rng())
    assert (twin(warm)[:, 1] > twin(images)[:, 1]).all()


def test_a_trace_sees_every_step_and_changes_nothing() -> None:
    twin, images, labels = Linear(), middle(), torch.zeros(4, dtype=torch.int64)
    trace, search = Trace(), GradientSearch(steps=6)
    traced = search.run(twin, images, labels, Threat("linf", 0.1), rng(), callback=trace)
    assert traced.equal(search.run(twin, images, labels, Threat("linf", 0.1), rng()))
    assert trace.losses.shape == trace.margins.shape == (7, 4)
    assert trace.zero_gradients.shape == trace.nonfinite_gradients.shape == (6, 4)
    assert (trace.losses.diff(dim=0) >= 0).all()
    assert (trace.margins.diff(dim=0) > 0).all()
    assert not trace.zero_gradients.any()
    assert not trace.nonfinite_gradients.any()


def test_a_trace_counts_bad_gradients() -> None:
    trace = Trace()
    GradientSearch(steps=2).run(
        Broken(float("nan")),
        middle(),
        torch.zeros(4, dtype=torch.int64),
        Threat("linf", 0.1),
        rng(),
        callback=trace,
    )
    assert trace.nonfinite_gradients.eq(0.5).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("name", [name for name in SEARCHES if name != "pgd_restarts"])
def test_each_image_may_have_a_radius_of_its_own(name: str, norm: str) -> None:
    twin, images, labels = net(), middle(), torch.tensor([0, 1, 2, 3])
    radius = torch.tensor([0.0, 0.05, 0.1, 0.3])
    found = SEARCHES[name].run(twin, images, labels, Threat(norm, None), rng(), radius=radius)
    for one, eps in enumerate(radius.tolist()):
        # The same draws, of which this image's count.
        alone = SEARCHES[name].run(twin, images, labels, Threat(norm, eps), rng())
        assert torch.allclose(found[one], alone[one], atol=1e-5)
    assert found[0].equal(images[0])
    assert not found[3].equal(images[3])


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_restarts_stay_in_each_images_own_ball(norm: str) -> None:
    images, labels = torch.rand(30, *SHAPE, generator=rng(1)), torch.arange(30) % 4
    images = (images * 255).round() / 255
    radius = torch.linspace(0, 0.1, 30)
    search = GradientSearch(steps=3, step=2.5, random_start=True, restarts=4)
    found = search.run(net(), images, labels, Threat(norm, None), rng(), radius=radius)
    assert (distance(found, images, norm) <= radius + TOLERANCE).all()
    once = replace(search, restarts=1)
    first = once.run(net(), images, labels, Threat(norm, None), rng(), radius=radius)
    found, first = (towards_grid(x, images) for x in (found, first))
    assert (margin(net()(found), labels) >= margin(net()(first), labels)).all()


def test_a_callback_meets_the_images_that_a_restart_attacks() -> None:
    steps: list[StepInfo] = []
    images, labels = torch.rand(30, *SHAPE, generator=rng(1)), torch.arange(30) % 4
    search = GradientSearch(steps=2, random_start=True, restarts=2)
    search.run(net(), images, labels, Threat("linf", 0.02), rng(), callback=steps.append)
    assert [(info.restart, info.step) for info in steps] == [
        (r, s) for r in (0, 1) for s in (0, 1, 2)
    ]
    right = net()(images).argmax(1) == labels
    assert steps[0].index.equal(torch.arange(30))
    assert 0 < len(steps[3].index) <= int(right.sum())
    assert all(info.loss.shape == info.margin.shape == info.index.shape for info in steps)
    assert [info.gradient is None for info in steps] == [False, False, True] * 2


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 0},
        {"steps": 1, "step": 0.0},
        {"steps": 1, "restarts": 0},
        {"steps": 1, "restarts": 2},
        {"steps": 1, "temperature": -1.0},
        {"steps": 1, "samples": 0},
        {"steps": 1, "decay": -0.1},
        {"steps": 1, "loss": "hinge"},
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        GradientSearch(**options)  # type: ignore[arg-type]


def test_a_threat_without_eps_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected a threat with eps"):
        GradientSearch(steps=1).run(
            Linear(), middle(), torch.zeros(4, dtype=torch.int64), Threat("linf", None), rng()
        )


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_no_images_give_no_candidates(norm: str) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    search = GradientSearch(steps=2, random_start=True, restarts=2)
    images, labels = torch.zeros(0, 1, 4, 4), torch.zeros(0, dtype=torch.int64)
    found = search.run(net, images, labels, Threat(norm, 0.1), torch.Generator())
    assert found.shape == images.shape
