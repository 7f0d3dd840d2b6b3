"""What attacks share: those that ART also has, and those that ask the deployed model."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from robench import Attack, ConfigError, require

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from robench import Threat
    from robench.search import Target

ENGINES = ("robench", "art")


@dataclass(frozen=True, kw_only=True)
class EngineAttack(Attack):
    """An attack with two engines: `candidates` is robench's, `stock` ART's."""

    engine: str = "robench"
    """robench: our vectorised search; art: ART's own body."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.engine in ENGINES,
            f"expected engine to be one of {', '.join(ENGINES)}, got {self.engine!r}",
        )

    @abstractmethod
    def candidates(
        self, twin: nn.Module, images: Tensor, labels: Tensor, threat: Threat, rng: torch.Generator
    ) -> Tensor:
        """Search with robench; the twin's parameters are frozen and the global generators seeded.

        Images, labels and candidates lie on the twin's device.
        """

    @abstractmethod
    def stock(self, estimator: Any, threat: Threat, batch: int) -> Any:
        """The stock ART attack with these options; raises ConfigError if it has no such option."""

    def run(
        self, twin: nn.Module, images: Tensor, labels: Tensor, threat: Threat, rng: torch.Generator
    ) -> Tensor:
        """Search with the chosen engine; an empty ball gives the clean images."""
        if threat.eps == 0:
            return images.clone()
        if self.engine == "art":
            from robench_attacks.art_bridge import run_art

            stock = partial(self.stock, threat=threat, batch=len(images))
            return run_art(stock, twin, images, labels, rng)

        import torch

        from robench import module_device, seed_scope
        from robench.search import searching

        images, labels = (part.to(module_device(twin)) for part in (images, labels))
        # A random twin draws from the global generators.
        with seed_scope(int(torch.randint(2**31, (), generator=rng))), searching(twin):
            with torch.no_grad():
                twin(images[:1])  # for no answer: published examples of random twins came after it
            return self.candidates(twin, images, labels, threat, rng).cpu()

    def refuse_with_art(self, **options: bool) -> None:
        """Raise ConfigError for the first of these options that ART's class does not have."""
        for name, used in options.items():
            if self.engine == "art" and used:
                raise ConfigError(
                    f"expected engine=robench with {name}: ART's class has no such option"
                )


@dataclass(frozen=True, kw_only=True)
class JudgedAttack(Attack):
    """A search that goes on where only the twin is fooled: it asks the deployed model."""

    @abstractmethod
    def candidates(
        self, target: Target, images: Tensor, labels: Tensor, threat: Threat, rng: torch.Generator
    ) -> Tensor:
        """Search with robench; the twin's parameters are frozen and the global generators seeded.

        Images, labels and candidates lie on the twin's device.
        """

    def run(
        self, twin: nn.Module, images: Tensor, labels: Tensor, threat: Threat, rng: torch.Generator
    ) -> Tensor:
        """Search on a twin that judges itself, a random one by one answer."""
        from robench.search import Target, searching

        with _drawing(rng), searching(twin):
            target = Target.of(twin, randomised=is_random(twin, images))
        return self.run_judged(target, images, labels, threat, rng)

    def run_judged(
        self, target: Target, images: Tensor, labels: Tensor, threat: Threat, rng: torch.Generator
    ) -> Tensor:
        """Search; an empty ball gives the clean images."""
        from robench import module_device
        from robench.search import searching

        if threat.eps == 0:
            return images.clone()
        images, labels = (part.to(module_device(target.twin)) for part in (images, labels))
        with _drawing(rng), searching(target.twin):
            return self.candidates(target, images, labels, threat, rng).cpu()


def _drawing(rng: torch.Generator) -> AbstractContextManager[None]:
    """Global generators seeded by `rng`, from which a random twin draws; put back afterwards."""
    import torch

    from robench import seed_scope

    return seed_scope(int(torch.randint(2**31, (), generator=rng)))


def art_norm(norm: str) -> float:
    """The norm as ART writes it."""
    return {"linf": float("inf"), "l2": 2.0}[norm]


def is_random(twin: nn.Module, images: Tensor) -> bool:
    """Whether two answers to a few images differ by more than rounding."""
    import torch

    with torch.no_grad():
        first, second = twin(images[:4]), twin(images[:4])
    return not torch.allclose(first, second, rtol=1e-3, atol=1e-3, equal_nan=True)
