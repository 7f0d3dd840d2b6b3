"""The matrix: every attack on a small trained network, with robench's engine and ART's."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from robench.base.errors import ConfigError
from robench.core.threat import Threat, distance
from robench.plugin.components import Attack, Component
from robench_attacks import (
    APGD,
    BIM,
    CW,
    FAB,
    FGSM,
    MIM,
    PGD,
    ArtAutoAttack,
    AutoAttack,
    NormalNoise,
    Square,
    Strongest,
    UniformNoise,
    robench_register,
)
from tests.plugins.attacks.digits import Digits


@dataclass(frozen=True)
class Case:
    attack: Attack
    floor: float
    """Least share of images that it must break."""
    norm: str = "linf"
    eps: float | None = 0.2
    draws: bool = False
    """Whether another seed gives other candidates."""


CASES = {
    "fgsm": Case(FGSM(), 0.92),
    "fgsm_l2": Case(FGSM(), 0.92, norm="l2", eps=1.2),
    "pgd": Case(PGD(), 0.96, draws=True),
    "pgd_l2": Case(PGD(), 0.97, norm="l2", eps=1.2, draws=True),
    "pgd_margin": Case(PGD(loss="margin", steps=20), 0.95, draws=True),
    "pgd_dlr": Case(PGD(loss="dlr", steps=20), 0.94, draws=True),
    "pgd_restarts": Case(PGD(steps=5, restarts=3), 0.96, draws=True),
    "bim": Case(BIM(), 0.95),
    "bim_l2": Case(BIM(), 0.96, norm="l2", eps=1.2),
    "mim": Case(MIM(), 0.94),
    "mim_l2": Case(MIM(), 0.95, norm="l2", eps=1.2),
    "cw": Case(CW(), 0.99, norm="l2", eps=None),
    "square": Case(Square(queries=300), 0.92, draws=True),
    "square_l2": Case(Square(queries=300), 0.91, norm="l2", eps=1.2, draws=True),
    "strongest": Case(Strongest(budget="quick"), 0.98, draws=True),
    "strongest_l2": Case(Strongest(budget="quick"), 0.97, norm="l2", eps=1.2, draws=True),
    "normal_noise": Case(NormalNoise(), 0.01, draws=True),
    "uniform_noise": Case(UniformNoise(), 0.01, draws=True),
    "apgd": Case(APGD(steps=20), 0.96, draws=True),
    "apgd_l2": Case(APGD(steps=20), 0.97, norm="l2", eps=1.2, draws=True),
    "apgd_t": Case(APGD(steps=10, loss="dlr", targets=9), 0.96, draws=True),
    "fab": Case(FAB(steps=10, targets=3), 0.95),
    "fab_l2": Case(FAB(steps=10, targets=3), 0.95, norm="l2", eps=1.2),
    "art_autoattack": Case(ArtAutoAttack(steps=5, queries=50), 0.95, draws=True),
    "art_fgsm": Case(FGSM(engine="art"), 0.92),
    "art_pgd": Case(PGD(engine="art"), 0.95, draws=True),
    "art_pgd_l2": Case(PGD(engine="art", steps=20), 0.96, norm="l2", eps=1.2, draws=True),
    "art_bim": Case(BIM(engine="art"), 0.95),
    "art_mim": Case(MIM(engine="art"), 0.94),
    "art_cw": Case(CW(engine="art", search_steps=2, steps=5), 0.85, norm="l2", eps=None),
    "art_square": Case(Square(engine="art", queries=100), 0.6, draws=True),
}


def run(case: Case, digits: Digits, seed: int = 0, count: int = 200) -> torch.Tensor:
    return case.attack.run(
        digits.net,
        digits.images[:count],
        digits.labels[:count],
        Threat(case.norm, case.eps),
        torch.Generator().manual_seed(seed),
    )


def broken(case: Case, found: torch.Tensor, digits: Digits) -> torch.Tensor:
    count = len(found)
    judged = Threat(case.norm, case.eps).project(found, digits.images[:count])
    with torch.no_grad():
        return digits.net(judged).argmax(1) != digits.labels[:count]


@pytest.mark.parametrize("name", CASES)
def test_every_attack_is_as_strong_as_it_was(name: str, digits: Digits) -> None:
    case = CASES[name]
    found = run(case, digits)
    share = broken(case, found, digits).float().mean().item()
    assert found.dtype == torch.float32
    assert found.shape == digits.images.shape
    assert found.isfinite().all()
    assert share >= case.floor


@pytest.mark.parametrize("name", CASES)
def test_every_attack_follows_its_seed_alone(
    name: str, digits: Digits, capfd: pytest.CaptureFixture[str]
) -> None:
    case = CASES[name]
    torch.manual_seed(1)
    np.random.seed(1)
    state = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    first = run(case, digits, count=12)
    assert torch.random.get_rng_state().equal(state[0])
    assert (np.random.get_state()[1] == state[1]).all()
    torch.manual_seed(2)
    np.random.seed(2)
    assert run(case, digits, count=12).equal(first)
    assert run(case, digits, seed=5, count=12).equal(first) != case.draws
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


@pytest.mark.parametrize("name", CASES)
def test_every_attack_leaves_the_twin_and_the_images_alone(name: str, digits: Digits) -> None:
    images = digits.images.clone()
    weights = {key: value.clone() for key, value in digits.net.state_dict().items()}
    grad = torch.ones_like(digits.net[0].weight)
    digits.net[0].weight.grad = grad
    digits.net[1].train()
    try:
        run(CASES[name], digits, count=8)
        assert digits.net[0].weight.grad is grad
        assert [m.training for m in digits.net] == [i == 1 for i in range(9)]
    finally:
        digits.net[0].weight.grad = None
        digits.net.eval()
    assert digits.images.equal(images)
    assert all(p.requires_grad for p in digits.net.parameters())
    assert all(v.equal(weights[k]) for k, v in digits.net.state_dict().items())


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.eps])
def test_an_empty_ball_gives_the_clean_images(name: str, digits: Digits) -> None:
    case = CASES[name]
    found = case.attack.run(
        digits.net,
        digits.images[:4],
        digits.labels[:4],
        Threat(case.norm, 0.0),
        torch.Generator().manual_seed(0),
    )
    assert found.equal(digits.images[:4])


@pytest.mark.parametrize(
    "name", [n for n, c in CASES.items() if c.attack.search == "ball" and n != "art_autoattack"]
)
def test_ball_attacks_stay_in_the_ball(name: str, digits: Digits) -> None:
    case = CASES[name]
    found = run(case, digits, count=40)
    assert case.eps is not None
    assert distance(found, digits.images[:40], case.norm).max() <= case.eps + 1e-5


@pytest.mark.parametrize(
    "name",
    ["fgsm", "pgd", "cw", "square", "strongest", "apgd_t", "fab", "art_pgd", "art_autoattack"],
)
def test_two_classes_and_one_image(name: str, digits: Digits) -> None:
    class Pair(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = digits.net(images)
            return logits[:, :2]

    case = CASES[name]
    found = case.attack.run(
        Pair(),
        digits.images[:1],
        torch.tensor([1]),
        Threat(case.norm, case.eps),
        torch.Generator().manual_seed(0),
    )
    assert found.shape == (1, 1, 8, 8)
    assert found.isfinite().all()


@pytest.mark.parametrize(
    ("component", "options", "message"),
    [
        (PGD, {"steps": 0}, "expected steps > 0"),
        (PGD, {"eps": -0.1}, "above 0"),
        (PGD, {"loss": "hinge"}, "expected loss to be one of cross_entropy"),
        (PGD, {"engine": "foolbox"}, "expected engine to be one of robench, art"),
        (PGD, {"engine": "art", "loss": "dlr"}, "expected engine=robench with loss"),
        (PGD, {"restarts": 2, "random_start": False}, "expected restarts=1"),
        (PGD, {"norm": "l7"}, "expected norm to be one of"),
        (BIM, {"step": 0.0}, "expected step > 0"),
        (MIM, {"decay": -1.0}, "expected decay >= 0"),
        (CW, {"norm": "linf"}, "expected norm to be one of l2"),
        (CW, {"initial_const": 0.0}, "expected initial_const > 0"),
        (Square, {"queries": 1}, "expected queries >= 2"),
        (Square, {"share": 1.5}, "expected share <= 1"),
        (APGD, {"loss": "hinge"}, "expected loss to be one of cross_entropy"),
        (APGD, {"targets": -1}, "expected targets >= 0"),
        (FAB, {"restarts": 0}, "expected restarts > 0"),
        (Strongest, {"budget": "huge"}, "expected budget to be one of quick, whole"),
        (ArtAutoAttack, {"steps": 0}, "expected steps > 0"),
    ],
)
def test_bad_options_are_refused(
    component: type[Attack], options: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        component(**options)  # type: ignore[arg-type]


@pytest.mark.slow
def test_autoattack_leaves_nothing_that_its_parts_break(digits: Digits) -> None:
    whole = Case(AutoAttack(), 0, eps=0.1)
    wrong = broken(whole, run(whole, digits, count=40), digits)
    for part in (APGD(), FAB()):
        alone = Case(part, 0, eps=0.1)
        assert wrong[broken(alone, run(alone, digits, count=40), digits)].all()


def test_arts_bim_refuses_l2(digits: Digits) -> None:
    with pytest.raises(ConfigError, match="engine=robench with norm=l2"):
        run(Case(BIM(engine="art"), 0, norm="l2", eps=1.2), digits, count=2)


def test_noise_without_a_size_is_refused(digits: Digits) -> None:
    with pytest.raises(ConfigError, match="expected eps"):
        run(Case(NormalNoise(), 0, eps=None), digits, count=2)


def test_noise_has_the_stated_size(digits: Digits) -> None:
    grey = torch.full((50, 1, 8, 8), 0.5)
    rng = torch.Generator().manual_seed(0)
    labels, threat = digits.labels[:50], Threat("linf", 0.1)
    normal = NormalNoise().run(digits.net, grey, labels, threat, rng) - grey
    assert normal.std().item() == pytest.approx(0.1, rel=0.05)
    uniform = UniformNoise().run(digits.net, grey, labels, threat, rng) - grey
    assert uniform.abs().max() <= 0.1 + 1e-6
    assert uniform.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.05)


def test_attacks_that_need_only_answers_say_so() -> None:
    assert {name for name, case in CASES.items() if case.attack.queries_only} == {
        *("square", "square_l2", "art_square", "normal_noise", "uniform_noise"),
    }


@pytest.mark.parametrize("name", ["square", "normal_noise", "uniform_noise"])
def test_attacks_that_need_only_answers_never_ask_for_a_gradient(name: str, digits: Digits) -> None:
    class Locked(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            assert not (torch.is_grad_enabled() and images.requires_grad)
            logits: torch.Tensor = digits.net(images)
            return logits

    case = CASES[name]
    threat, rng = Threat(case.norm, case.eps), torch.Generator().manual_seed(0)
    case.attack.run(Locked(), digits.images[:4], digits.labels[:4], threat, rng)


def test_art_sees_the_twin_whole_even_if_it_is_a_sequential() -> None:
    from robench_attacks.art_bridge import twin_classifier

    class Doubled(nn.Sequential):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(images)

    twin = Doubled(nn.Flatten(), nn.Linear(4, 3))
    images = torch.rand(2, 1, 2, 2)
    logits = twin_classifier(twin, images).predict(images.numpy())
    assert np.allclose(logits, twin(images).detach().numpy())


def test_the_plugin_registers_its_attacks() -> None:
    seen: dict[str, type[Component] | Component] = {}

    def register(kind: str, name: str, component: type[Component] | Component) -> None:
        assert kind == "attack"
        seen[name] = component

    robench_register(register)
    assert set(seen) >= {
        *("fgsm", "fgsm_weak", "fgsm_medium", "fgsm_strong", "pgd", "bim", "mim", "cw"),
        *("normal_noise", "uniform_noise", "square", "strongest", "art_autoattack"),
        *("apgd", "fab", "autoattack"),
    }
    assert seen["fgsm_weak"] == FGSM(eps="weak")


def test_warnings_settings_survive_an_attack(digits: Digits) -> None:
    before = list(warnings.filters)
    run(CASES["art_pgd"], digits, count=2)
    assert list(warnings.filters) == before
